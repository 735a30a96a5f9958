"""Run a network by another executor than eager, and measure what comes out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convarium.store.runtime import Parent, Runtime


def execute(own: Mapping[str, Any], parents: tuple[Parent, ...], runtime: Runtime) -> dict[str, Any]:
    """Measure quality under `own["executor"]` in a fresh process; keep the model that it runs, which is timed later.

    Raises:
        NotInstalled: what the executor needs is not here.
        UserError: the executor can't hold the network, the data are missing, or a file is damaged.
    """
    from convarium.measurement.executors.installed import require

    require([own["executor"]])
    (network,) = parents
    result: dict[str, Any] = runtime.fresh(
        "convarium.measurement.execution:execute_file",
        str(network.folder / "network.cvm"),
        own["executor"],
        own["dataset"],
        own["task"],
        own.get("calibration_images", 0),
        str(runtime.folder.absolute()),
        str(Path(runtime.root).absolute()) if runtime.root else None,
        runtime.threads,
        str(runtime.cache) if runtime.cache else None,
    )
    return result
