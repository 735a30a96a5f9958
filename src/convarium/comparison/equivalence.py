"""Is a compressed network no worse than its dense one, by more than a margin?

A difference that is "not shown" is no proof of equality. Here the claim that at least `margin` of accuracy is lost is
what has to be refuted (a test of non-inferiority), on the same table of differences (seeds x images) as every interval.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from convarium.comparison.statistics import LEVEL, largest, moments

NORMAL = float(ndtri(LEVEL))


@dataclass(frozen=True)
class Loss:
    """The upper bound of what is lost (one-sided, 95 %), and the p-value of "at least the margin is lost"."""

    upper: float
    p: float


def loss(table: NDArray[np.floating], margin: float) -> Loss:
    """Bound the loss from differences of correctness, compressed less dense, -1, 0 or 1 (seeds x images).

    Of what `statistics.crossed` takes in, two parts at a one-sided quantile: the bound lies inside that two-sided
    interval, whatever the table. Two tests have to refute the margin m: Student's, and Wilson's, because where m is
    really lost at least a share m of the images is judged differently; without it a handful of differing images would
    look like certainty. The bound is the largest loss that they do not refute together, 2.7 / images without any
    difference.
    """
    mean, error, freedom = moments(table)
    images = table.shape[1]
    upper = max(float(stdtrit(freedom, LEVEL)) * error - mean, largest(-mean, NORMAL**2 / images))
    p = float(stdtr(freedom, -(mean + margin) / error)) if error else float(mean <= -margin)
    if 0 < margin < 1:
        p = max(p, float(ndtr(-(mean + margin) / sqrt(margin * (1 - margin) / images))))
    return Loss(min(upper, 1.0), p)
