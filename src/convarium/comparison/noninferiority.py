"""Test of non-inferiority: does a compressed network lose less accuracy to its dense one than a margin?

A difference that is "not shown" is no proof of equality. Here the claim that at least `margin` of accuracy is lost is
what has to be refuted, on the same table of differences (seeds x images) that the intervals are computed from.
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
    """Upper bound of the accuracy lost (one-sided, 95 %), and the p-value of "at least the margin is lost"."""

    upper: float
    p_value: float


def bound_accuracy_loss(table: NDArray[np.floating], margin: float) -> AccuracyLossBound:
    """Bound the accuracy lost, from a table (seeds x images) of correctness, compressed minus dense: -1, 0 or 1.

    Two of the criteria of `statistics.estimate_paired_difference` are used, at a one-sided quantile, so the bound lies
    inside that two-sided interval, whatever the table. A loss of the margin m is refuted only by two tests together.
    One is Student's. The other is Wilson's: where m is really lost, the networks differ on a share of at least m of
    the images; without it a handful of differing images would look like certainty. The bound is the largest loss that
    they do not refute together, 2.7 / images where the networks differ on no image.

    Args:
        margin: a share, as the accuracies are.
    """
    mean, error, freedom = compute_moments(table)
    image_count = table.shape[1]
    student_bound = float(stdtrit(freedom, CONFIDENCE_LEVEL)) * error - mean
    wilson_bound = compute_wilson_bound(-mean, ONE_SIDED_NORMAL_QUANTILE**2 / image_count)
    upper = max(student_bound, wilson_bound)
    p_value = float(stdtr(freedom, -(mean + margin) / error)) if error else float(mean <= -margin)
    # Wilson's test takes its variance from a share, which the margin is only between 0 and 1.
    if 0 < margin < 1:
        wilson_error = sqrt(margin * (1 - margin) / image_count)
        p_value = max(p_value, float(ndtr(-(mean + margin) / wilson_error)))
    return AccuracyLossBound(min(upper, 1.0), p_value)
