"""What a search asks of its pruner: with one objective Optuna's, with several the rule of `cost_median`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.pruners import BasePruner, NopPruner
from optuna.trial import Trial

from convarium.lookup import find_by_name
from convarium.search.cost_median import CostMedian
from convarium.search.needs import Need


@dataclass(frozen=True)
class Pruning:
    """How trials are pruned.

    Attributes:
        build: gives Optuna's pruner for the number of steps of a trial.
        cost_median: the rule for several objectives, None where there is none.
        needs: what a search must offer.
    """

    build: Callable[[int], BasePruner]
    cost_median: CostMedian | None = None
    needs: frozenset[Need] = frozenset({Need.CURVE, Need.EQUAL_STEPS})


def find_pruning(config: Mapping[str, Any]) -> Pruning:
    """Return the pruning that a checked config (`search.pruner`) names.

    Raises:
        UserError: there is no such pruner.
    """
    knobs = {key: value for key, value in config.items() if key != "name"}
    pruning: Pruning = find_by_name("search.pruners", config["name"])(**knobs)
    return pruning


def list_needs(pruning: Pruning, objective_count: int) -> list[Need]:
    """Return what a search with so many objectives must offer."""
    needs = sorted(pruning.needs, key=list(Need).index)
    if objective_count == 1 or not needs:
        return needs
    return [*needs, Need.ONE_OBJECTIVE if pruning.cost_median is None else Need.KNOWN_COSTS]


def build_pruner(pruning: Pruning, step_count: int, objective_count: int) -> BasePruner:
    """Return the pruner of a study; Optuna refuses to prune with several objectives, so that it gets none there."""
    return pruning.build(step_count) if objective_count == 1 else NopPruner()


def should_prune(pruning: Pruning, trial: Trial, costs: Mapping[int, float]) -> bool:
    """Whether a trial is to be left by what it reported so far.

    Args:
        costs: those of the trial's network that are objectives, by the objective's index; read where there are several.
    """
    if len(trial.study.directions) == 1:
        return trial.should_prune()
    if pruning.cost_median is None:
        return False
    return pruning.cost_median.should_prune(trial.study, trial.storage.get_trial(trial._trial_id), costs)
