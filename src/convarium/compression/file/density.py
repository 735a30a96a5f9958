"""How dense each row and column is by now, in quarters of an octave: what a map of kept values is coded by."""

from math import isqrt
from typing import Any

import numpy as np

from convarium.compression.file.coder import Numbers
from convarium.compression.file.kernels import NEAR, Map
from convarium.compression.file.machine import Machine
from convarium.compression.file.range_coder import LEAST, ONE

LEVELS, MIDDLE, OFFSET = 48, 24, 400
PARTS, SURE_COLUMN, SURE_ROW = 256, 384, 768
LIKELIER = (2, 1, 2, 1)
FARTHEST = 255
ROWS_LOOKED_AT = 1 << 20
THRESHOLDS = np.array([isqrt(isqrt((1 << power) - 1)) + 1 for power in range(1, 200)], dtype=np.int64)


def plan(on: Machine, rows: Numbers, columns: Numbers, width: int, lag: int, count: int) -> Map:
    """The tables for `count` kept places in these rows and columns of a tensor of `width` columns."""
    share = (count << 24) // (len(rows) * len(columns))
    down, along = np.arange(len(rows) + 1), np.arange(len(columns) + 1)
    return Map(
        rows=on.numbers(rows),
        columns=on.numbers(columns),
        width=width,
        lag=lag,
        hit_column=on.numbers(_quarters(down * PARTS + SURE_COLUMN) + OFFSET),
        hit_row=on.numbers(_quarters(along * PARTS + SURE_ROW)),
        due_column=on.numbers(_quarters((down * share >> 16) + SURE_COLUMN)),
        due_row=on.numbers(_quarters((along * share >> 16) + SURE_ROW)),
        levels=on.numbers(np.clip((np.arange(2 * OFFSET) - OFFSET) // 2 + MIDDLE, 0, LEVELS - 1) * NEAR),
        blank=blank(on, width, lag),
    )


def blank(on: Machine, width: int, lag: int) -> Any:
    """A row of neighbours, all zero, with room for what lies outside."""
    return on.numbers(np.zeros(width + 2 * lag + 2, dtype=np.int64))


def odds(count: int, cells: int) -> list[int]:
    """The first probability of each context: the tensor's, likelier by half octaves for its level and neighbours."""
    found, kept, rest = [], count, cells - count
    for level in range(LEVELS):
        for near in range(NEAR):
            more = level - MIDDLE - 1 + sum(step for bit, step in enumerate(LIKELIER) if near >> bit & 1)
            weight = kept * isqrt(1 << 80 + more)
            found.append(min(max(ONE * weight // (weight + (rest << 40)), LEAST), ONE - LEAST))
    return found


def lag(marks: Numbers, strictness: int) -> int:
    """The distance (3 to 255 columns) at which rows are most like themselves; 0 where none stands out.

    In a layer over flattened pictures it is the width of a picture, in one of kernels that of a kernel.

    Args:
        marks: -1, 0 or 1 for each place, in rows.
        strictness: by how many standard deviations of chance it must stand out.
    """
    width = marks.shape[1]
    flat = marks[: max(1, ROWS_LOOKED_AT // max(1, width))].astype(np.float32).ravel()[:ROWS_LOOKED_AT]
    distances = range(3, min(width // 2, FARTHEST) + 1)
    if not distances:
        return 0
    alike = np.array([flat[distance:] @ flat[:-distance] for distance in distances])  # exact: whole, below 2**24
    excess, marked = float(alike.max() - np.median(alike)), float(np.count_nonzero(flat))
    return distances[int(alike.argmax())] if excess * excess * flat.size > (strictness * marked) ** 2 else 0


def _quarters(numbers: Numbers) -> Numbers:
    """floor(4 log2 x) of whole numbers >= 1, exactly."""
    found: Numbers = np.searchsorted(THRESHOLDS, numbers, side="right")
    return found
