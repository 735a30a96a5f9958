"""No pruning: each trial is trained to its end."""

from optuna.pruners import NopPruner

from convarium.search.pruning import Pruning


def none() -> Pruning:
    """Return the pruning that prunes nothing."""
    return Pruning(lambda step_count: NopPruner(), needs=frozenset())
