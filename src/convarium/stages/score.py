"""Score the network of a search's trial: what it is chosen by, on the validation images alone."""

from dataclasses import dataclass
from typing import Any

from convarium.stages.declaration import StageConfig, StageDeclaration
from convarium.stages.measure import list_measured_inputs
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
    inputs = list_measured_inputs(config.dataset, config.task, parents, runtime)
    result: dict[str, Any] = runtime.run_fresh("convarium.measurement.score:score_file", *inputs)
    return result
