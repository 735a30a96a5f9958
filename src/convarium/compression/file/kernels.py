"""What the arithmetic coder codes bit by bit: flags, the map of kept values, their signs and sizes, ids.

Plain loops over lists, or over arrays where numba compiles them (`machine`). A row of neighbours begins `lag + 1`
places before its first column, so that no neighbour lies outside: two to the left, three around `lag` to the left.
"""

from typing import Any, NamedTuple

from convarium.compression.file.range_coder import PLACE, step

BLOCK = 16
NEAR = 16
SIGNS, UNSIGNED = 20, 8
SIZES, UNARY = 13, 16
MANTISSA = SIGNS + SIZES * UNARY
NODES = MANTISSA + 16 * 32
IDS = 72


class Map(NamedTuple):
    """Rows and columns that hold anything, and tables in quarters of an octave.

    Attributes:
        rows: their numbers; `columns` likewise.
        width: columns of the tensor; lag: how far to the left the row above lies in a flattened picture.
        hit_column: what so many hits of a column weigh; hit_row likewise.
        due_column: what is due in a column after so many rows; due_row likewise.
        levels: the first context of each sum of these.
        blank: zeros, of the length of a row of neighbours.
    """

    rows: Any
    columns: Any
    width: int
    lag: int
    hit_column: Any
    hit_row: Any
    due_column: Any
    due_row: Any
    levels: Any
    blank: Any


def code_flags(state: Any, data: Any, flags: Any, odds: Any, seen: Any) -> None:
    """Code zeros and ones, each by the two before it."""
    before = 0
    for place in range(len(flags)):
        flags[place] = step(state, data, odds, seen, before, flags[place])
        before = before * 2 & 3 | flags[place]


def code_map(state: Any, data: Any, places: Any, plan: Map, odds: Any, seen: Any, hits: Any, near: Any) -> int:
    """Code which places are kept, the last of `places` being a stop; return how many were found.

    The context of a place is how often its column and row were hit against what is due by now, and its neighbours.
    """
    width, lag, columns, levels = plan.width, plan.lag, plan.columns, plan.levels
    found, count = 0, len(places) - 1
    for rank in range(len(plan.rows)):
        near[:] = plan.blank
        start, in_row = plan.rows[rank] * width, 0
        target = places[found] - start
        for first in range(0, len(columns), BLOCK):
            if state[PLACE] > len(data) + 8:
                return found
            due = plan.due_column[rank] + plan.due_row[first]
            sure = plan.hit_row[in_row] - due
            for column in columns[first : first + BLOCK]:
                here = column + lag + 1
                context = levels[plan.hit_column[hits[column]] + sure] + near[here]
                if step(state, data, odds, seen, context, 1 if column == target else 0):
                    places[found] = start + column
                    found += 1
                    if found == count:
                        return found
                    target = places[found] - start
                    hits[column] += 1
                    in_row += 1
                    sure = plan.hit_row[in_row] - due
                    near[here + 1] |= 1
                    near[here + 2] |= 2
                    near[here + lag] |= 4
                    near[here + lag - 1] |= 8
                    near[here + lag + 1] |= 8
    return found


def code_values(
    state: Any,
    data: Any,
    values: Any,
    places: Any,
    width: int,
    lag: int,
    largest: int,
    odds: Any,
    seen: Any,
    signs: Any,
    sizes: Any,
    blank: Any,
) -> None:
    """Code signed numbers, none of them 0, by the signs and sizes of their neighbours."""
    row, before = -1, 0
    for i in range(len(values)):
        place = places[i]
        if place // width != row:
            if state[PLACE] > len(data) + 8:
                return
            row = place // width
            signs[:] = blank
            sizes[:] = blank
        here = place - row * width + lag + 1
        up = here - lag
        vote = 2 * (signs[here - 1] + signs[up]) + signs[here - 2] + signs[up - 1] + signs[up + 1]
        negative = step(state, data, odds, seen, UNSIGNED + vote if vote else 17 + before, 1 if values[i] < 0 else 0)
        near = abs(signs[here - 1]) + abs(signs[up]) + abs(signs[here - 2]) + abs(signs[up - 1]) + abs(signs[up + 1])
        level = 0
        if near:
            around = sizes[here - 1] + sizes[up] + sizes[here - 2] + sizes[up - 1] + sizes[up + 1]
            level = min(SIZES - 1, 1 + 12 * around // (near * (largest + 1)))
        size = code_size(state, data, odds, seen, SIGNS + level * UNARY, largest, abs(values[i]))
        before = 1 if negative else 2
        signs[here], sizes[here] = -1 if negative else 1, size
        values[i] = -size if negative else size


def code_size(state: Any, data: Any, odds: Any, seen: Any, context: int, largest: int, size: int) -> int:
    """Code a number of 1..largest: unary up to 16, else its length in unary and then its bits."""
    found = 1
    if largest <= UNARY:
        while found < largest and step(state, data, odds, seen, context + found - 1, 1 if size > found else 0):
            found += 1
        return found
    length = 0
    while largest >> length + 1 and step(state, data, odds, seen, context + length, 1 if size >> length + 1 else 0):
        length += 1
    for bit in range(length - 1, -1, -1):
        inside = MANTISSA + length * 32 + (found if found < 8 else 8 + bit)
        found = found * 2 | step(state, data, odds, seen, inside, size >> bit & 1)
    return found


def code_ids(
    state: Any,
    data: Any,
    ids: Any,
    places: Any,
    width: int,
    lag: int,
    depth: int,
    size: int,
    odds: Any,
    seen: Any,
    row: Any,
    blank: Any,
) -> None:
    """Code numbers of 0..size - 1, bit by bit from the highest; the first three bits by the mean of the neighbours."""
    current = -1
    for i in range(len(ids)):
        place = places[i]
        if place // width != current:
            if state[PLACE] > len(data) + 8:
                return
            current = place // width
            row[:] = blank
        here = place - current * width + lag + 1
        up = here - lag
        total, near = 0, 0
        for other in (here - 1, here - 2, up, up - 1, up + 1):
            if row[other]:
                total += row[other] - 1
                near += 1
        level = 8 * (1 + total * 8 // (near * size)) if near else 0
        node = 1
        for bit in range(depth - 1, -1, -1):
            if (node * 2 + 1 << bit) - (1 << depth) >= size:
                node *= 2
            else:
                context = level + node if node < 8 else IDS + node
                node = node * 2 | step(state, data, odds, seen, context, ids[i] >> bit & 1)
        ids[i] = node - (1 << depth)
        row[here] = ids[i] + 1
