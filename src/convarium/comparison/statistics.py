"""Confidence intervals and tests for networks of a few seeds.

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
FREEDOM_POWER = 1.5  # between Cochran's 1 and Satterthwaite's 2, which covers too little (`_sum_variances`)
EXTREME_VARIANCE = 0.015  # m (1 - m) at an accuracy of 98.5 %, from where on the seeds' means are skewed
MAX_DEGREES_OF_FREEDOM = 1e9  # stands for infinity: Student's quantile is the normal one, and 1 / freedom is not zero


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval (None where none can be given) and the two-sided p-value of "the mean is zero"."""

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

    With few seeds and few images a bootstrap interval is too narrow; four corrections widen it:

    * Mean squares are divided by n - 1 rather than n.
    * The quantile is Student's, with the degrees of freedom of `_sum_variances`.
    * The interval includes the one with two more images, one that only the first network gets right and one that only
      the second does: Bonett and Price (2012, "Adjusted Wald confidence interval for a difference of binomial
      proportions based on paired data", Journal of Educational and Behavioral Statistics 37:479-488).
    * Where the true mean is m, the networks differ on a share of at least |m| of the images, so the interval includes
      every m that `compute_wilson_bound` does not refute: up to 3.8 / images where they differ on no image.

    `benchmarks/intervals.py` measures coverage and power. The interval excludes zero exactly where p < 0.05. With one
    seed it describes this one network, not the method.
    """
    seed_count, image_count = table.shape
    table_mean = float(table.mean())
    squared_quantile_per_image = TWO_SIDED_NORMAL_QUANTILE**2 / image_count
    low = -compute_wilson_bound(-table_mean, squared_quantile_per_image)
    high = compute_wilson_bound(table_mean, squared_quantile_per_image)
    p_value = 0.0
    column_of_ones = np.ones((seed_count, 1))
    adjusted_table = np.hstack([table, column_of_ones, -column_of_ones])  # Bonett and Price's two images
    for mean, error, freedom in (compute_moments(table), compute_moments(adjusted_table)):
        half_width = error * float(stdtrit(freedom, (1 + CONFIDENCE_LEVEL) / 2))
        low = min(low, mean - half_width)
        high = max(high, mean + half_width)
        # Without an error the adjusted table alone decides: it has one always, because its two images differ.
        if error:
            p_value = max(p_value, 2 * float(stdtr(freedom, -abs(mean) / error)))
    return Estimate(table_mean, max(low, -1.0), min(high, 1.0), p_value)


def estimate_accuracy(table: NDArray[np.floating]) -> Estimate:
    """Estimate an accuracy from `table` (seeds x images) of 0 and 1; both its rows and columns are samples.

    Wilson's interval (1927, "Probable inference, the law of succession, and statistical inference", Journal of the
    American Statistical Association 22:209-212): all accuracies m whose distance to the mean is at most the quantile
    times the standard error at m. With one seed, or seeds that agree on every image, it is exactly Wilson's.

    In general the variance at m is c m (1 - m) / images + V. V is the variance over the seeds' means. c is the share of
    the images' variance that remains when the mean over seeds is taken (images and rest of `estimate_paired_difference`
    together), estimated with one more image that every seed gets wrong, so that a few errors do not pass for
    independent ones. The quantile is Student's, with the degrees of freedom of `_sum_variances`, unlimited for the
    images' variance, which is known at m. Above 98.5 % (and below 1.5 %) the seeds' means are so skewed that the sum
    gets hardly more degrees of freedom than the seeds have.
    """
    seed_count, image_count = table.shape
    mean, image_variance, seed_variance, rest_variance = _split_variance(table)
    bernoulli_variance = max(mean * (1 - mean), 0.0)
    remaining_share = 1.0
    if seed_count > 1:
        remaining = (image_variance + rest_variance) * image_count + 1 / image_count
        remaining_share = min(1.0, remaining / (bernoulli_variance + 1 / image_count))
    variances = [
        (remaining_share * bernoulli_variance / image_count, MAX_DEGREES_OF_FREEDOM),
        (seed_variance, seed_count - 1),
    ]
    _, freedom = _sum_variances(variances, FREEDOM_POWER * min(1.0, bernoulli_variance / EXTREME_VARIANCE))
    squared_quantile = float(stdtrit(freedom, (1 + CONFIDENCE_LEVEL) / 2)) ** 2
    # The bounds solve the quadratic equation (m - mean)^2 = squared_quantile * seed_variance + slope * m * (1 - m).
    slope = squared_quantile * remaining_share / image_count
    center = (mean + slope / 2) / (1 + slope)
    squared_radius = center**2 - (mean**2 - squared_quantile * seed_variance) / (1 + slope)
    radius = sqrt(max(squared_radius, 0.0))
    # At a mean of 0 or 1 one bound is the mean itself, which rounding may miss by a digit.
    low = min(center - radius, mean)
    high = max(center + radius, mean)
    return Estimate(mean, max(low, 0.0), min(high, 1.0))


def compute_moments(table: NDArray[np.floating]) -> tuple[float, float, float]:
    """Return the mean of `table` (seeds x images), its standard error and the error's degrees of freedom.

    The error is that of the pigeonhole bootstrap (`estimate_paired_difference`).
    """
    seed_count, image_count = table.shape
    mean, image_variance, seed_variance, rest_variance = _split_variance(table)
    variance, freedom = _sum_variances(
        [
            (image_variance, image_count - 1),
            (seed_variance, seed_count - 1),
            (rest_variance, (image_count - 1) * (seed_count - 1)),
        ]
    )
    return mean, sqrt(variance), freedom


def compute_wilson_bound(mean: float, squared_quantile_per_image: float) -> float:
    """Return Wilson's upper bound, the larger m that solves (m - mean)^2 = q m (1 - m); -1 where no m does.

    q is `squared_quantile_per_image`, the squared quantile divided by the number of images. No m solves the equation
    where `mean` is too far below zero: a difference of accuracies, unlike a share, can be negative. Tango (1998,
    "Equivalence test and confidence interval for the difference in proportions for the paired-sample design",
    Statistics in Medicine 17:891-908) restricts the variance to the hypothesis in the same spirit.
    """
    discriminant = squared_quantile_per_image * (squared_quantile_per_image + 4 * mean * (1 - mean))
    if discriminant < 0:
        return -1.0
    return (2 * mean + squared_quantile_per_image + sqrt(discriminant)) / (2 * (1 + squared_quantile_per_image))


def estimate_mean_over_seeds(values: Sequence[float]) -> Estimate:
    """Estimate the mean of one value per seed by Student's t; for paired differences this is the paired t-test.

    One value has no interval. Values that do not vary at all (MACs, parameters) have an interval of zero width, and a
    p-value of 0 unless they are zero.
    """
    mean = compute_mean(values)
    if len(values) < 2:
        return Estimate(mean)
    array = np.asarray(values, dtype=np.float64)
    freedom = len(array) - 1
    error = sqrt(float(array.var(ddof=1)) / len(array))
    # Equal values can differ from their own mean by a rounding error, which is no variance.
    if error <= 1e-12 * max(1.0, abs(mean)):
        return Estimate(mean, mean, mean, 0.0 if mean else 1.0)
    half_width = error * float(stdtrit(freedom, (1 + CONFIDENCE_LEVEL) / 2))
    p_value = 2 * float(stdtr(freedom, -abs(mean) / error))
    return Estimate(mean, mean - half_width, mean + half_width, p_value)


def compute_mean(values: Sequence[float]) -> float:
    """Return the mean of at least one value; of one, as most rows of a large table have, without numpy's detour."""
    return float(np.mean(values)) if len(values) > 1 else float(values[0])


def adjust_by_holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for their number, in the order of `p_values`.

    Holm (1979, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6:65-70):
    the chance of any false "better" or "worse" among them stays below 5 %.
    """
    ascending = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(ascending):
        scaled = min(1.0, (len(p_values) - rank) * p_values[index])
        highest = max(highest, scaled)  # a larger p-value never gets a smaller adjusted one
        adjusted[index] = highest
    return adjusted


def unpack_correctness(correct_hex: str, image_count: int) -> NDArray[np.float64]:
    """Return `image_count` zeros and ones, float64 (images,), from the hex string of `np.packbits`."""
    packed_bits = np.frombuffer(bytes.fromhex(correct_hex), np.uint8)
    # The count cuts off the zeros that fill up the last byte.
    return np.unpackbits(packed_bits, count=image_count).astype(np.float64)


def _split_variance(table: NDArray[np.floating]) -> tuple[float, float, float, float]:
    """Return the mean of `table` and the three parts of the mean's variance: over images, over seeds, and the rest."""
    seed_count, image_count = table.shape
    mean = float(table.mean())
    seed_means = table.mean(axis=1)
    image_means = table.mean(axis=0)
    rest = table - seed_means[:, None] - image_means[None, :] + mean
    image_variance = _mean_square(image_means - mean, image_count - 1) / image_count
    seed_variance = _mean_square(seed_means - mean, seed_count - 1) / seed_count
    rest_variance = _mean_square(rest, (seed_count - 1) * (image_count - 1)) / (seed_count * image_count)
    return mean, image_variance, seed_variance, rest_variance


def _mean_square(deviations: NDArray[np.floating], freedom: int) -> float:
    # One seed or one image shows no variance of its kind.
    return float(np.square(deviations).sum()) / freedom if freedom > 0 else 0.0


def _sum_variances(variances: Sequence[tuple[float, float]], power: float = FREEDOM_POWER) -> tuple[float, float]:
    """Add variances, each paired with its degrees of freedom; return the sum and its degrees of freedom.

    1 / freedom of the sum is the sum of (share of the variance)^power / freedom. Welch (1947) and Satterthwaite (1946)
    have a power of 2, which treats the shares as known: where they come from three seeds that matter as much as the
    images, such intervals cover 92 to 93 %.
    """
    total = sum(variance for variance, _ in variances)
    shares = [(variance / total, freedom) for variance, freedom in variances if freedom > 0 and variance > 0]
    # The sum starts above zero: a table without variance leaves no shares to add.
    reciprocal = sum((share**power / freedom for share, freedom in shares), 1 / MAX_DEGREES_OF_FREEDOM)
    return total, 1 / reciprocal
