"""Measure the quality and the bytes of a network, read from its file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convarium.stages.declaration import StageConfig, StageDeclaration
from convarium.store.result_folder import ResultFolder
from convarium.workers.runtime import Parent, Runtime


@dataclass(frozen=True)
class MeasureConfig(StageConfig):
    """What a measurement depends on, apart from the network and its dense one."""

    dataset: dict[str, Any]
    task: dict[str, Any]


STAGE = StageDeclaration("measure", version=2, config=MeasureConfig, fixed_seconds=4.0)


def measure(config: MeasureConfig, parents: tuple[Parent, ...], runtime: Runtime) -> dict[str, Any]:
    """Measure quality and bytes of `parents[0]` against the dense `parents[1]`, in a fresh process.

    Raises:
        UserError: the data are missing, or a file is damaged.
    """
    inputs = list_measured_inputs(config.dataset, config.task, parents, runtime)
    answers = str(ResultFolder(runtime.folder.absolute()).answers)
    result: dict[str, Any] = runtime.run_fresh("convarium.measurement.quality:measure_file", *inputs, answers)
    return result


def list_measured_inputs(
    dataset: dict[str, Any], task: dict[str, Any], parents: tuple[Parent, ...], runtime: Runtime
) -> tuple[Any, ...]:
    """Return, as JSON, what a fresh process needs to measure `parents[0]` against the dense `parents[1]`."""
    network, dense = parents
    external_network = network.files.external_network
    return (
        str(network.files.network),
        str(dense.files.network),
        dataset,
        task,
        str(Path(runtime.data_root).absolute()) if runtime.data_root else None,
        runtime.threads,
        runtime.accelerator,
        str(external_network) if external_network.is_file() else None,
        str(runtime.cache_folder) if runtime.cache_folder else None,
    )
