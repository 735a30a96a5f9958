"""Asynchronous successive halving (Li et al. 2020): at each rung of steps only the best of those there go on."""

from optuna.pruners import SuccessiveHalvingPruner

from convarium.search.pruning import Pruning


def halving(first_step: int, reduction: int) -> Pruning:
    """Return the pruning.

    Args:
        first_step: that of the lowest rung.
        reduction: one of so many goes on at a rung, and the next rung has so many times the steps.
    """
    return Pruning(lambda step_count: SuccessiveHalvingPruner(first_step, reduction))
