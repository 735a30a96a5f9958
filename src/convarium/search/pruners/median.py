"""The median rule (Golovin et al. 2017): a trial whose best value is worse than the median at its step is left."""

from optuna.pruners import MedianPruner

from convarium.search.cost_median import CostMedian
from convarium.search.pruning import Pruning


def median(startup_trials: int, warmup_steps: int) -> Pruning:
    """Return the pruning.

    Args:
        startup_trials: trials that must be complete before one is pruned.
        warmup_steps: before this step nothing is pruned.
    """
    return Pruning(
        lambda step_count: MedianPruner(startup_trials, warmup_steps), CostMedian(startup_trials, warmup_steps)
    )
