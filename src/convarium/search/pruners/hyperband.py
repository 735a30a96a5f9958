"""Hyperband (Li et al. 2018): successive halving from several first rungs, for curves that cross."""

from optuna.pruners import HyperbandPruner

from convarium.search.pruning import Pruning


def hyperband(first_step: int, reduction: int) -> Pruning:
    """Return the pruning. The most steps are those of a trial: Optuna's guess would change after a restart.

    Args:
        first_step: that of the lowest rung.
        reduction: one of so many goes on at a rung, and the next rung has so many times the steps.
    """
    return Pruning(lambda step_count: HyperbandPruner(first_step, max(first_step, step_count), reduction))
