"""Intervals and tests that can say something with three seeds.

Correctness is stored per test image, so a difference of accuracies is a table of seeds x images in which both are
samples: another seed would train another network, another test set would hold other images. An interval over seeds
alone takes this very test set for the population; one over images alone takes this very network for the method.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval at 95 % (None where nothing can be said) and the two-sided p-value of "it is zero"."""

    mean: float
    low: float | None = None
    high: float | None = None
    p: float | None = None


def crossed(table: NDArray[np.floating]) -> Estimate:
    """Estimate the mean of `table` (seeds x images) when both its rows and its columns are resampled.

    Pigeonhole bootstrap (Owen 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1:386-411): a resample
    draws seeds and, independently, images, both with replacement. The variance of its mean over all resamples has a
    closed form, used here instead of a few thousand random draws: it is exact, has no seed and takes microseconds.
    With the table split into mean + seed effect + image effect + rest, it is the sum of the three parts' mean squares
    over seeds, images and cells.

    It is conservative by construction. Where the truth is var = A/S + B/N + R/(S N), the expected bootstrap variance
    is A/S + B/N + 3 R/(S N): the rest (an image that only one seed gets wrong) is counted in each of the three parts,
    so intervals come out up to 1.7 times too wide where it dominates, and never too narrow for lack of a part.

    With three seeds a bootstrap is too narrow for two other reasons, both repaired: mean squares are divided by n - 1
    rather than n, and the quantile is Student's, with Welch-Satterthwaite degrees of freedom (2 where three seeds
    differ much, thousands where only images matter). So it is never as narrow as images alone would give, and reaches
    the paired t over seeds only where seeds are all that varies. `benchmarks/intervals.py` shows coverage and power:
    about 93 % at least with three seeds, 92 % with two that differ much, close to 100 % where images decide.

    A table without any difference has an interval of no width: all it says of other images is that fewer than one in
    images / 3 would differ.

    With one seed only the images are resampled: the interval then speaks of this one network.
    """
    return _student(*moments(table))


def moments(table: NDArray[np.floating]) -> tuple[float, float, float]:
    """Return what `crossed` stands on: the mean of `table`, its variance, and the variance's degrees of freedom."""
    seeds, images = table.shape
    mean = float(table.mean())
    by_seed, by_image = table.mean(axis=1), table.mean(axis=0)
    across_images = _mean_square(by_image - mean, images - 1) / images
    parts = [(across_images, images - 1)]
    if seeds > 1:
        rest = table - by_seed[:, None] - by_image[None, :] + mean
        cells = (seeds - 1) * (images - 1)
        parts += [
            (_mean_square(by_seed - mean, seeds - 1) / seeds, seeds - 1),
            (_mean_square(rest, cells) / (seeds * images), cells),
        ]
    return mean, *_satterthwaite(parts)


def over_seeds(values: Sequence[float]) -> Estimate:
    """Estimate the mean of one number a seed by Student's t; given differences of pairs this is the paired t-test.

    Values that do not vary at all (MACs, parameters) have an interval of no width, and a p of 0 unless they are zero.
    """
    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2:
        return Estimate(float(array.mean()))
    return _student(float(array.mean()), float(array.var(ddof=1)) / len(array), len(array) - 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number (Holm 1979): the chance of any false "better" or "worse" stays below 5 %."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def unpack(correct: str, images: int) -> NDArray[np.float64]:
    """Turn the stored hex string of `np.packbits` into `images` zeros and ones."""
    return np.unpackbits(np.frombuffer(bytes.fromhex(correct), np.uint8), count=images).astype(np.float64)


def _mean_square(deviations: NDArray[np.floating], freedom: int) -> float:
    return float(np.square(deviations).sum()) / freedom if freedom > 0 else 0.0


def _satterthwaite(parts: list[tuple[float, int]]) -> tuple[float, float]:
    """Add variances, each with its degrees of freedom; the sum's by Welch (1947) and Satterthwaite (1946)."""
    total = sum(variance for variance, _ in parts)
    spread = sum(variance**2 / freedom for variance, freedom in parts if freedom > 0)
    return total, total**2 / spread if spread > 0 else inf


def _student(mean: float, variance: float, freedom: float) -> Estimate:
    error = sqrt(variance)
    if error <= 1e-12 * max(1.0, abs(mean)):
        return Estimate(mean, mean, mean, 0.0 if mean else 1.0)
    freedom = freedom if isfinite(freedom) else 1e9
    width = error * float(stdtrit(freedom, (1 + LEVEL) / 2))
    return Estimate(mean, mean - width, mean + width, 2 * float(stdtr(freedom, -abs(mean) / error)))
