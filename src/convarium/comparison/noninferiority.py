"""Is a compressed network no worse than its dense one, by more than a margin?

A difference that is "not shown" is no proof of equality. Here the claim that at least `margin` of accuracy is lost is
what has to be refuted (a test of non-inferiority), on the same table of differences (seeds x images) as every interval.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from convarium.comparison.statistics import CONFIDENCE_LEVEL, compute_moments, compute_wilson_bound

ONE_SIDED_NORMAL_QUANTILE = float(ndtri(CONFIDENCE_LEVEL))


@dataclass(frozen=True)
class AccuracyLossBound:
    """The upper bound of what is lost (one-sided, 95 %), and the p-value of "at least the margin is lost"."""

    upper: float
    p_value: float


def bound_accuracy_loss(table: NDArray[np.floating], margin: float) -> AccuracyLossBound:
    """Bound the loss from differences of correctness, compressed less dense, -1, 0 or 1 (seeds x images).

    Of what `statistics.estimate_paired_difference` takes in, two parts at a one-sided quantile: the bound lies inside
    that two-sided interval, whatever the table. Two tests have to refute the margin m: Student's, and Wilson's, because
    where m is really lost at least a share m of the images is judged differently; without it a handful of differing
    images would look like certainty. The bound is the largest loss that they do not refute together, 2.7 / images
    without any difference.
    """
    mean, error, freedom = compute_moments(table)
    images = table.shape[1]
    upper = max(
        float(stdtrit(freedom, CONFIDENCE_LEVEL)) * error - mean,
        compute_wilson_bound(-mean, ONE_SIDED_NORMAL_QUANTILE**2 / images),
    )
    p = float(stdtr(freedom, -(mean + margin) / error)) if error else float(mean <= -margin)
    if 0 < margin < 1:
        p = max(p, float(ndtr(-(mean + margin) / sqrt(margin * (1 - margin) / images))))
    return AccuracyLossBound(min(upper, 1.0), p)
