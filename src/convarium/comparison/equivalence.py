"""Is a compressed network no worse than its dense one, by more than a margin?

A difference that is "not shown" is no proof of equality. Here the claim that at least `margin` of accuracy is lost is
what has to be refuted (a test of non-inferiority), on the same table of differences (seeds x images) as every interval.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from convarium.comparison.statistics import LEVEL, moments

MOST_FREEDOM = 1e9


@dataclass(frozen=True)
class Loss:
    """The upper bound of what is lost (one-sided, 95 %), and the p-value of "at least the margin is lost"."""

    upper: float
    p: float


def loss(table: NDArray[np.floating], margin: float) -> Loss:
    """Bound the loss from differences of correctness, compressed less dense, -1, 0 or 1 (seeds x images).

    The variance and its degrees of freedom are those of `statistics.crossed`. One thing is added: where a margin m is
    really lost, at least a share m of the images is judged differently, so the variance over images is at least
    m (1 - m) / images. Without this, a handful of differing images would look like certainty (Tango 1998, "Equivalence
    test and confidence interval for the difference in proportions", Statistics in Medicine 17:891-908, restricts the
    variance to the hypothesis in the same spirit). The bound is the largest loss that the test does not refute: that
    of Student's t, or Wilson's where that lies higher. Without any difference it is 2.7 / images.
    """
    mean, variance, freedom = moments(table)
    return _bounded(mean, variance, min(freedom, MOST_FREEDOM), margin, table.shape[1])


def _bounded(mean: float, variance: float, freedom: float, margin: float, images: int) -> Loss:
    quantile = float(stdtrit(freedom, LEVEL))
    error = sqrt(max(variance, margin * (1 - margin) / images))
    upper = max(quantile * sqrt(variance) - mean, _wilson(-mean, quantile**2 / images))
    return Loss(upper, float(stdtr(freedom, -(mean + margin) / error)))


def _wilson(lost: float, width: float) -> float:
    """Return the larger m of (m - lost)^2 = width m (1 - m); -1 where a gain is too large to have one."""
    root = width * (width + 4 * lost * (1 - lost))
    return -1.0 if root < 0 else (2 * lost + width + sqrt(root)) / (2 * (1 + width))
