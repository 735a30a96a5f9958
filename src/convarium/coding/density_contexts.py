"""Contexts of a map of kept values: how dense each row and column has been so far, in quarters of an octave.

Everything is computed in whole numbers (`isqrt` in place of logarithms), so that every machine makes the same tables.
"""

from math import isqrt
from typing import Any

import numpy as np

from convarium.coding.coder import Numbers
from convarium.coding.coding_kernels import NEIGHBOUR_CONTEXTS, MapTables
from convarium.coding.kernel_backend import PythonBackend
from convarium.coding.range_coder import MIN_PROBABILITY, PROBABILITY_ONE

# All numbers here but those of the lag's search are part of the file format.
DENSITY_LEVELS, MIDDLE_LEVEL = 48, 24  # of half an octave each; the middle one is as dense as the tensor
LEVEL_TABLE_OFFSET = 400  # keeps the index of the table of contexts positive
HIT_SCALE, COLUMN_PRIOR, ROW_PRIOR = 256, 384, 768  # a hit, and what each column and row begins with: 1.5 and 3 hits
NEIGHBOUR_LEVEL_STEPS = (2, 1, 2, 1)  # half octaves for each bit of the neighbours, in the order of their bits
MAX_LAG = 255
MAX_LAG_SAMPLE_VALUES = 1 << 20
# The smallest whole number of each quarter of an octave: ceil(2 ** (power / 4)).
QUARTER_OCTAVE_THRESHOLDS = np.array([isqrt(isqrt((1 << power) - 1)) + 1 for power in range(1, 200)], dtype=np.int64)


def build_map_tables(
    backend: PythonBackend, rows: Numbers, columns: Numbers, width: int, lag: int, count: int
) -> MapTables:
    """Return the tables for `count` kept places in these rows and columns of a tensor of `width` columns."""
    share = (count << 24) // (len(rows) * len(columns))  # of places that are kept, in 2**-24
    column_hits = np.arange(len(rows) + 1)  # a column has at most one hit in each row
    row_hits = np.arange(len(columns) + 1)
    # HIT_SCALE is 2**8, so that `* share >> 16` gives the hits that are due in the same unit.
    column_hit_levels = _count_quarter_octaves(column_hits * HIT_SCALE + COLUMN_PRIOR) + LEVEL_TABLE_OFFSET
    row_hit_levels = _count_quarter_octaves(row_hits * HIT_SCALE + ROW_PRIOR)
    column_due_levels = _count_quarter_octaves((column_hits * share >> 16) + COLUMN_PRIOR)
    row_due_levels = _count_quarter_octaves((row_hits * share >> 16) + ROW_PRIOR)
    level_sums = np.arange(2 * LEVEL_TABLE_OFFSET) - LEVEL_TABLE_OFFSET
    density_levels = np.clip(level_sums // 2 + MIDDLE_LEVEL, 0, DENSITY_LEVELS - 1)
    return MapTables(
        rows=backend.make_numbers(rows),
        columns=backend.make_numbers(columns),
        width=width,
        lag=lag,
        column_hit_levels=backend.make_numbers(column_hit_levels),
        row_hit_levels=backend.make_numbers(row_hit_levels),
        column_due_levels=backend.make_numbers(column_due_levels),
        row_due_levels=backend.make_numbers(row_due_levels),
        first_contexts=backend.make_numbers(density_levels * NEIGHBOUR_CONTEXTS),
        blank_row=build_blank_row(backend, width, lag),
    )


def build_blank_row(backend: PythonBackend, width: int, lag: int) -> Any:
    """Return a row of neighbours, all zero, with `lag + 1` slots more on each side than there are columns."""
    return backend.make_numbers(np.zeros(width + 2 * lag + 2, dtype=np.int64))


def estimate_initial_probabilities(count: int, cells: int) -> list[int]:
    """Return the first probability of a kept place in each context.

    The odds are those of the whole map (`count` kept among `cells`), times sqrt(2) for each half octave by which the
    density level and the neighbours of a context are above the average.
    """
    probabilities = []
    for level in range(DENSITY_LEVELS):
        for neighbours in range(NEIGHBOUR_CONTEXTS):
            half_octaves = level - MIDDLE_LEVEL - 1
            for bit, step in enumerate(NEIGHBOUR_LEVEL_STEPS):
                if neighbours >> bit & 1:
                    half_octaves += step
            kept_weight = count * isqrt(1 << 80 + half_octaves)
            empty_weight = (cells - count) << 40
            probability = PROBABILITY_ONE * kept_weight // (kept_weight + empty_weight)
            probabilities.append(min(max(probability, MIN_PROBABILITY), PROBABILITY_ONE - MIN_PROBABILITY))
    return probabilities


def find_lag(marks: Numbers, min_sigmas: int) -> int:
    """Return the distance (3 to 255 columns) at which marks are most like each other; 0 where none stands out.

    In a layer over flattened images it is the width of an image, in a convolution that of its kernels.

    Args:
        marks: a matrix with -1, 0 or 1 for each place.
        min_sigmas: by how many standard deviations of chance a distance must stand out.
    """
    width = marks.shape[1]
    distances = range(3, min(width // 2, MAX_LAG) + 1)
    if not distances:
        return 0
    sampled_rows = max(1, MAX_LAG_SAMPLE_VALUES // width)
    sample = marks[:sampled_rows].astype(np.float32).ravel()[:MAX_LAG_SAMPLE_VALUES]
    # Exact on every machine, in whatever order the products are summed: whole numbers below 2**24.
    correlations = np.array([sample[distance:] @ sample[:-distance] for distance in distances])
    excess = float(correlations.max() - np.median(correlations))
    marked = float(np.count_nonzero(sample))
    # Of m marks at random among n places, m**2 / n meet another at a distance; chance moves the sum by its root.
    if excess * excess * sample.size <= (min_sigmas * marked) ** 2:
        return 0
    return distances[int(correlations.argmax())]


def _count_quarter_octaves(numbers: Numbers) -> Numbers:
    """Return floor(4 log2 x) of whole numbers >= 1, exactly."""
    quarter_octaves: Numbers = np.searchsorted(QUARTER_OCTAVE_THRESHOLDS, numbers, side="right")
    return quarter_octaves
