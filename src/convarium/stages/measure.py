"""Measure a network from its file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convarium.workers.runtime import Parent, Runtime


def measure(stage_config: Mapping[str, Any], parents: tuple[Parent, ...], runtime: Runtime) -> dict[str, Any]:
    """Measure quality and bytes of `parents[0]` against the dense `parents[1]`, in a fresh process.

    Raises:
        UserError: the data are missing, or a file is damaged.
    """
    network, dense = parents
    result: dict[str, Any] = runtime.run_fresh(
        "convarium.measurement.quality:measure_file",
        str(network.folder / "network.cvm"),
        str(dense.folder / "network.cvm"),
        stage_config["dataset"],
        stage_config["task"],
        str(Path(runtime.data_root).absolute()) if runtime.data_root else None,
        runtime.threads,
        runtime.accelerator,
        str(outside) if (outside := network.folder / "network.outside").is_file() else None,
        str(runtime.cache_folder) if runtime.cache_folder else None,
    )
    return result
