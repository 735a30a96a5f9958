"""How dense each row and column is by now, in quarters of an octave: what a map of kept values is coded by."""

from math import isqrt
from typing import Any

import numpy as np

from convarium.coding.coder import Numbers
from convarium.coding.coding_kernels import NEIGHBOUR_CONTEXTS, MapTables
from convarium.coding.kernel_backend import PythonBackend
from convarium.coding.range_coder import MIN_PROBABILITY, PROBABILITY_ONE

DENSITY_LEVELS, MIDDLE_LEVEL, LEVEL_TABLE_OFFSET = 48, 24, 400
HIT_SCALE, COLUMN_PRIOR, ROW_PRIOR = 256, 384, 768
NEIGHBOUR_LEVEL_STEPS = (2, 1, 2, 1)
MAX_LAG = 255
MAX_LAG_SAMPLE_VALUES = 1 << 20
QUARTER_OCTAVE_THRESHOLDS = np.array([isqrt(isqrt((1 << power) - 1)) + 1 for power in range(1, 200)], dtype=np.int64)


def build_map_tables(
    backend: PythonBackend, rows: Numbers, columns: Numbers, width: int, lag: int, count: int
) -> MapTables:
    """The tables for `count` kept places in these rows and columns of a tensor of `width` columns."""
    share = (count << 24) // (len(rows) * len(columns))
    down, along = np.arange(len(rows) + 1), np.arange(len(columns) + 1)
    return MapTables(
        rows=backend.make_numbers(rows),
        columns=backend.make_numbers(columns),
        width=width,
        lag=lag,
        column_hit_levels=backend.make_numbers(
            _count_quarter_octaves(down * HIT_SCALE + COLUMN_PRIOR) + LEVEL_TABLE_OFFSET
        ),
        row_hit_levels=backend.make_numbers(_count_quarter_octaves(along * HIT_SCALE + ROW_PRIOR)),
        column_due_levels=backend.make_numbers(_count_quarter_octaves((down * share >> 16) + COLUMN_PRIOR)),
        row_due_levels=backend.make_numbers(_count_quarter_octaves((along * share >> 16) + ROW_PRIOR)),
        first_contexts=backend.make_numbers(
            np.clip((np.arange(2 * LEVEL_TABLE_OFFSET) - LEVEL_TABLE_OFFSET) // 2 + MIDDLE_LEVEL, 0, DENSITY_LEVELS - 1)
            * NEIGHBOUR_CONTEXTS
        ),
        blank_row=build_blank_row(backend, width, lag),
    )


def build_blank_row(backend: PythonBackend, width: int, lag: int) -> Any:
    """A row of neighbours, all zero, with room for what lies outside."""
    return backend.make_numbers(np.zeros(width + 2 * lag + 2, dtype=np.int64))


def estimate_initial_odds(count: int, cells: int) -> list[int]:
    """The first probability of each context: the tensor's, likelier by half octaves for its level and neighbours."""
    found, kept, rest = [], count, cells - count
    for level in range(DENSITY_LEVELS):
        for near in range(NEIGHBOUR_CONTEXTS):
            more = (
                level
                - MIDDLE_LEVEL
                - 1
                + sum(step for bit, step in enumerate(NEIGHBOUR_LEVEL_STEPS) if near >> bit & 1)
            )
            weight = kept * isqrt(1 << 80 + more)
            found.append(
                min(
                    max(PROBABILITY_ONE * weight // (weight + (rest << 40)), MIN_PROBABILITY),
                    PROBABILITY_ONE - MIN_PROBABILITY,
                )
            )
    return found


def find_lag(marks: Numbers, min_sigmas: int) -> int:
    """The distance (3 to 255 columns) at which rows are most like themselves; 0 where none stands out.

    In a layer over flattened images it is the width of an image, in one of kernels that of a kernel.

    Args:
        marks: -1, 0 or 1 for each place, in rows.
        min_sigmas: by how many standard deviations of chance it must stand out.
    """
    width = marks.shape[1]
    flat = marks[: max(1, MAX_LAG_SAMPLE_VALUES // max(1, width))].astype(np.float32).ravel()[:MAX_LAG_SAMPLE_VALUES]
    distances = range(3, min(width // 2, MAX_LAG) + 1)
    if not distances:
        return 0
    alike = np.array([flat[distance:] @ flat[:-distance] for distance in distances])  # exact: whole, below 2**24
    excess, marked = float(alike.max() - np.median(alike)), float(np.count_nonzero(flat))
    return distances[int(alike.argmax())] if excess * excess * flat.size > (min_sigmas * marked) ** 2 else 0


def _count_quarter_octaves(numbers: Numbers) -> Numbers:
    """floor(4 log2 x) of whole numbers >= 1, exactly."""
    found: Numbers = np.searchsorted(QUARTER_OCTAVE_THRESHOLDS, numbers, side="right")
    return found
