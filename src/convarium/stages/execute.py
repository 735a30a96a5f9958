"""Run a network by another executor than eager, and measure what comes out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convarium.workers.runtime import Parent, Runtime


def execute(stage_config: Mapping[str, Any], parents: tuple[Parent, ...], runtime: Runtime) -> dict[str, Any]:
    """Measure quality under `own["executor"]` in a fresh process; keep the model that it runs, which is timed later.

    Raises:
        NotInstalled: what the executor needs is not here.
        UserError: the executor can't hold the network, the data are missing, or a file is damaged.
    """
    from convarium.measurement.executors.executor_requirements import require_installed

    require_installed([stage_config["executor"]])
    (network,) = parents
    result: dict[str, Any] = runtime.run_fresh(
        "convarium.measurement.execution:execute_file",
        str(network.folder / "network.cvm"),
        stage_config["executor"],
        stage_config["dataset"],
        stage_config["task"],
        stage_config.get("calibration_images", 0),
        str(runtime.folder.absolute()),
        str(Path(runtime.data_root).absolute()) if runtime.data_root else None,
        runtime.threads,
        str(runtime.cache_folder) if runtime.cache_folder else None,
    )
    return result
