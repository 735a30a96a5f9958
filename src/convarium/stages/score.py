"""Score the network of a search's trial: what it is chosen by, on the validation images alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convarium.stages.declaration import StageConfig, StageDeclaration
from convarium.workers.runtime import Parent, Runtime


@dataclass(frozen=True)
class ScoreConfig(StageConfig):
    """What a score depends on, apart from the network and its dense one."""

    dataset: dict[str, Any]
    task: dict[str, Any]


STAGE = StageDeclaration("score", version=1, config=ScoreConfig, fixed_seconds=1.0)


def score(config: ScoreConfig, parents: tuple[Parent, ...], runtime: Runtime) -> dict[str, Any]:
    """Measure validation quality and bytes of `parents[0]` against the dense `parents[1]`, in a fresh process.

    Raises:
        UserError: the data are missing, or a file is damaged.
    """
    network, dense = parents
    external_network = network.files.external_network
    result: dict[str, Any] = runtime.run_fresh(
        "convarium.measurement.score:score_file",
        str(network.files.network),
        str(dense.files.network),
        config.dataset,
        config.task,
        str(Path(runtime.data_root).absolute()) if runtime.data_root else None,
        runtime.threads,
        runtime.accelerator,
        str(external_network) if external_network.is_file() else None,
        str(runtime.cache_folder) if runtime.cache_folder else None,
    )
    return result
