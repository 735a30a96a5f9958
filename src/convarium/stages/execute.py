"""Run a network by another executor than eager, and measure what comes out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convarium.stages.declaration import StageConfig, StageDeclaration
from convarium.workers.runtime import Parent, Runtime


@dataclass(frozen=True)
class ExecuteConfig(StageConfig):
    """What the quality under an executor depends on, apart from the network.

    Attributes:
        host: the processor and the executor's version.
        calibration_images: number of validation images that activations are calibrated on, where the executor
            quantises.
    """

    executor: str
    host: dict[str, Any]
    dataset: dict[str, Any]
    task: dict[str, Any]
    calibration_images: int | None = None


STAGE = StageDeclaration("execute", version=1, config=ExecuteConfig, fixed_seconds=10.0)


def execute(config: ExecuteConfig, parents: tuple[Parent, ...], runtime: Runtime) -> dict[str, Any]:
    """Measure quality under an executor in a fresh process; keep the model that it runs, so that the same one is timed.

    Raises:
        ProgramNotInstalled: what the executor needs is not here.
        UserError: the executor can't hold the network, the data are missing, or a file is damaged.
    """
    from convarium.measurement.executors.executor_requirements import require_installed

    require_installed([config.executor])
    (network,) = parents
    result: dict[str, Any] = runtime.run_fresh(
        "convarium.measurement.execution:execute_file",
        str(network.files.network),
        config.executor,
        config.dataset,
        config.task,
        config.calibration_images or 0,
        str(runtime.folder.absolute()),
        str(Path(runtime.data_root).absolute()) if runtime.data_root else None,
        runtime.threads,
        str(runtime.cache_folder) if runtime.cache_folder else None,
    )
    return result
