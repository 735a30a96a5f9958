"""Random search over distinct points: what every other strategy has to beat."""

from convarium.search.distinct_sampler import DistinctSampler
from convarium.search.strategy import Strategy


def random() -> Strategy:
    """Return the strategy; a finite space ends when each of its points was asked."""
    return Strategy(DistinctSampler, ends_with_points=True)
