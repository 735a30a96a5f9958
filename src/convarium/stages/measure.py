"""Measure a network from its file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convarium.store.runtime import Parent, Runtime


def measure(own: Mapping[str, Any], parents: tuple[Parent, ...], runtime: Runtime) -> dict[str, Any]:
    """Measure quality and bytes of `parents[0]` against the dense `parents[1]`, in a fresh process.

    Raises:
        UserError: the data are missing, or a file is damaged.
    """
    network, dense = parents
    result: dict[str, Any] = runtime.fresh(
        "convarium.measurement.quality:measure_file",
        str(network.folder / "network.cvm"),
        str(dense.folder / "network.cvm"),
        own["dataset"],
        own["task"],
        str(Path(runtime.root).absolute()) if runtime.root else None,
        runtime.threads,
        runtime.accelerator,
        str(outside) if (outside := network.folder / "network.outside").is_file() else None,
        str(runtime.cache) if runtime.cache else None,
    )
    return result
