"""Image sets that fit in memory, with fixed splits; `load` is the one way in."""

from convarium.datasets.loading import load, scaled_for
from convarium.datasets.splits import Splits, Tensors

__all__ = ["Splits", "Tensors", "load", "scaled_for"]
