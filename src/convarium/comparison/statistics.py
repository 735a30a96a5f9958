"""Intervals and tests that can say something with three seeds.

Correctness is stored per test image, so a difference of accuracies is a table of seeds x images in which both are
samples: another seed would train another network, another test set would hold other images. An interval over seeds
alone takes this very test set for the population; one over images alone takes this very network for the method.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr, stdtrit

CONFIDENCE_LEVEL = 0.95
TWO_SIDED_NORMAL_QUANTILE = float(ndtri((1 + CONFIDENCE_LEVEL) / 2))
FREEDOM_POWER = 1.5
EXTREME_VARIANCE = 0.015
MAX_DEGREES_OF_FREEDOM = 1e9


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval at 95 % (None where nothing can be said) and the two-sided p-value of "it is zero"."""

    mean: float
    low: float | None = None
    high: float | None = None
    p_value: float | None = None


def estimate_paired_difference(table: NDArray[np.floating]) -> Estimate:
    """Estimate a mean difference from `table` (seeds x images) of -1, 0 or 1; both its rows and columns are samples.

    Pigeonhole bootstrap (Owen 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1:386-411): a resample
    draws seeds and, independently, images, both with replacement. The variance of its mean over all resamples has a
    closed form, used here instead of a few thousand random draws: it is exact, has no seed and takes microseconds.
    With the table split into mean + seed effect + image effect + rest, it is the sum of the three parts' mean squares
    over seeds, images and cells. It is conservative by construction: the rest (an image that only one seed gets
    wrong) is counted in each of the three parts.

    Few seeds and few images make a bootstrap too narrow; four things repair it. Mean squares are divided by n - 1
    rather than n. The quantile is Student's, its degrees of freedom those of `_sum_variances`. The interval takes in
    the one that two more images give, one that only the first network gets right and one that only the second: Bonett
    and Price (2012, "Adjusted Wald confidence interval for a difference of binomial proportions based on paired data",
    Journal of Educational and Behavioral Statistics 37:479-488). And where a mean m is true, at least a share |m| of
    the images is judged differently, so that what `compute_wilson_bound` does not refute belongs to the interval: 3.8 /
    images where no image differs at all. `benchmarks/intervals.py` shows coverage and power.

    The interval excludes zero exactly where p < 0.05. With one seed it speaks of this one network.
    """
    own, seeds, apart = float(table.mean()), len(table), TWO_SIDED_NORMAL_QUANTILE**2 / table.shape[1]
    added = np.hstack([table, np.ones((seeds, 1)), -np.ones((seeds, 1))])
    low, high, p = -compute_wilson_bound(-own, apart), compute_wilson_bound(own, apart), 0.0
    for mean, error, freedom in (compute_moments(table), compute_moments(added)):
        width = error * float(stdtrit(freedom, (1 + CONFIDENCE_LEVEL) / 2))
        low, high = min(low, mean - width), max(high, mean + width)
        p = max(p, 2 * float(stdtr(freedom, -abs(mean) / error)) if error else 0.0)
    return Estimate(own, max(low, -1.0), min(high, 1.0), p)


def estimate_accuracy(table: NDArray[np.floating]) -> Estimate:
    """Estimate an accuracy from `table` (seeds x images) of 0 and 1; both its rows and columns are samples.

    Wilson's interval (1927, "Probable inference, the law of succession, and statistical inference", Journal of the
    American Statistical Association 22:209-212): those accuracies m that are not further from the mean than the
    quantile times the error that would be theirs. With one seed, or seeds that agree on every image, it is exactly
    that. In general the variance at m is c m (1 - m) / images + V: V is that of the seeds' means, and c the share of
    the images' variance that stays when the mean over seeds is taken (as in `estimate_paired_difference`, images and
    rest together), found with one more image that every seed gets wrong, so that few errors do not pass for independent
    ones. The quantile is Student's, its degrees of freedom those of `_sum_variances`; the images' variance, being known
    at m, has no end of them. Towards 100 % (0 %), from 98.5 % on, seeds are so skewed that the sum has hardly more of
    them than the seeds have.
    """
    seeds, images = table.shape
    mean, by_image, by_seed, rest = _split_variance(table)
    spread = max(mean * (1 - mean), 0.0)
    kept = min(1.0, ((by_image + rest) * images + 1 / images) / (spread + 1 / images)) if seeds > 1 else 1.0
    parts = [(kept * spread / images, MAX_DEGREES_OF_FREEDOM), (by_seed, seeds - 1)]
    _, freedom = _sum_variances(parts, FREEDOM_POWER * min(1.0, spread / EXTREME_VARIANCE))
    square = float(stdtrit(freedom, (1 + CONFIDENCE_LEVEL) / 2)) ** 2
    # The quadratic equation (m - mean)^2 = square * (slope * m * (1 - m) + by_seed)
    slope = square * kept / images
    middle = (mean + slope / 2) / (1 + slope)
    reach = sqrt(max(middle**2 - (mean**2 - square * by_seed) / (1 + slope), 0.0))
    return Estimate(mean, max(min(middle - reach, mean), 0.0), min(max(middle + reach, mean), 1.0))


def compute_moments(table: NDArray[np.floating]) -> tuple[float, float, float]:
    """Return the mean of `table`, its standard error (`estimate_paired_difference`) and degrees of freedom."""
    seeds, images = table.shape
    mean, by_image, by_seed, rest = _split_variance(table)
    parts = [(by_image, images - 1), (by_seed, seeds - 1), (rest, (images - 1) * (seeds - 1))]
    variance, freedom = _sum_variances(parts)
    return mean, sqrt(variance), freedom


def compute_wilson_bound(mean: float, squared_quantile_per_image: float) -> float:
    """Return the larger m of (m - mean)^2 = apart * m (1 - m), Wilson's upper bound; -1 where `mean` is too low.

    `squared_quantile_per_image` is the squared quantile by the number of images. Tango (1998, "Equivalence test and
    confidence interval for the difference in proportions for the paired-sample design", Statistics in Medicine
    17:891-908) restricts the variance to the hypothesis in the same spirit.
    """
    root = squared_quantile_per_image * (squared_quantile_per_image + 4 * mean * (1 - mean))
    return (
        -1.0
        if root < 0
        else (2 * mean + squared_quantile_per_image + sqrt(root)) / (2 * (1 + squared_quantile_per_image))
    )


def estimate_mean_over_seeds(values: Sequence[float]) -> Estimate:
    """Estimate the mean of one number a seed by Student's t; given differences of pairs this is the paired t-test.

    Values that do not vary at all (MACs, parameters) have an interval of no width, and a p of 0 unless they are zero.
    """
    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2:
        return Estimate(float(array.mean()))
    return _estimate_by_student(float(array.mean()), float(array.var(ddof=1)) / len(array), len(array) - 1)


def adjust_by_holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number (Holm 1979): the chance of any false "better" or "worse" stays below 5 %."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def unpack_correctness(correct_hex: str, image_count: int) -> NDArray[np.float64]:
    """Turn the stored hex string of `np.packbits` into `image_count` zeros and ones."""
    return np.unpackbits(np.frombuffer(bytes.fromhex(correct_hex), np.uint8), count=image_count).astype(np.float64)


def _split_variance(table: NDArray[np.floating]) -> tuple[float, float, float, float]:
    """Return the mean of `table` and the three parts of its variance: over images, over seeds, and the rest."""
    seeds, images = table.shape
    mean = float(table.mean())
    by_seed, by_image = table.mean(axis=1), table.mean(axis=0)
    rest = table - by_seed[:, None] - by_image[None, :] + mean
    return (
        mean,
        _mean_square(by_image - mean, images - 1) / images,
        _mean_square(by_seed - mean, seeds - 1) / seeds,
        _mean_square(rest, (seeds - 1) * (images - 1)) / (seeds * images),
    )


def _mean_square(deviations: NDArray[np.floating], freedom: int) -> float:
    return float(np.square(deviations).sum()) / freedom if freedom > 0 else 0.0


def _sum_variances(variances: Sequence[tuple[float, float]], power: float = FREEDOM_POWER) -> tuple[float, float]:
    """Add variances, each with its degrees of freedom, and return the sum with its own.

    One over them is the sum of (share of the variance)^power / freedom. Welch (1947) and Satterthwaite (1946) have a
    power of 2, which takes the shares for known: where they come from three seeds that matter as much as the images,
    it covers 92 to 93 %.
    """
    total = sum(variance for variance, _ in variances)
    known = [(variance / total, freedom) for variance, freedom in variances if freedom > 0 and variance > 0]
    return total, 1 / sum((share**power / freedom for share, freedom in known), 1 / MAX_DEGREES_OF_FREEDOM)


def _estimate_by_student(mean: float, variance: float, freedom: float) -> Estimate:
    error = sqrt(variance)
    if error <= 1e-12 * max(1.0, abs(mean)):
        return Estimate(mean, mean, mean, 0.0 if mean else 1.0)
    width = error * float(stdtrit(freedom, (1 + CONFIDENCE_LEVEL) / 2))
    return Estimate(mean, mean - width, mean + width, 2 * float(stdtr(freedom, -abs(mean) / error)))
