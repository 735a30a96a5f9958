"""What the arithmetic coder codes bit by bit: flags, the map of kept values, their signs and sizes, ids.

Plain loops over lists, or over arrays where numba compiles them (`machine`). A row of neighbours begins `lag + 1`
places before its first column, so that no neighbour lies outside: two to the left, three around `lag` to the left.
"""

from typing import Any, NamedTuple

from convarium.coding.range_coder import NEXT_BYTE, code_bit

MAP_BLOCK_COLUMNS = 16
NEIGHBOUR_CONTEXTS = 16
SIGN_CONTEXTS, NEUTRAL_SIGN_CONTEXT = 20, 8
SIZE_LEVELS, MAX_UNARY_SIZE = 13, 16
FIRST_MANTISSA_CONTEXT = SIGN_CONTEXTS + SIZE_LEVELS * MAX_UNARY_SIZE
VALUE_CONTEXTS = FIRST_MANTISSA_CONTEXT + 16 * 32
FIRST_ID_CONTEXT = 72


class MapTables(NamedTuple):
    """Rows and columns that hold anything, and tables in quarters of an octave.

    Attributes:
        rows: their numbers; `columns` likewise.
        width: columns of the tensor; lag: how far to the left the row above lies in a flattened image.
        column_hit_levels: what so many hits of a column weigh; hit_row likewise.
        column_due_levels: what is due in a column after so many rows; due_row likewise.
        first_contexts: the first context of each sum of these.
        blank_row: zeros, of the length of a row of neighbours.
    """

    rows: Any
    columns: Any
    width: int
    lag: int
    column_hit_levels: Any
    row_hit_levels: Any
    column_due_levels: Any
    row_due_levels: Any
    first_contexts: Any
    blank_row: Any


def code_flag_bits(state: Any, data: Any, flags: Any, probabilities: Any, bit_counts: Any) -> None:
    """Code zeros and ones, each by the two before it."""
    before = 0
    for place in range(len(flags)):
        flags[place] = code_bit(state, data, probabilities, bit_counts, before, flags[place])
        before = before * 2 & 3 | flags[place]


def code_map_bits(
    state: Any,
    data: Any,
    places: Any,
    tables: MapTables,
    probabilities: Any,
    bit_counts: Any,
    hits: Any,
    neighbours: Any,
) -> int:
    """Code which places are kept, the last of `places` being a stop; return how many were found.

    The context of a place is how often its column and row were hit against what is due by now, and its neighbours.
    """
    width, lag, columns, levels = tables.width, tables.lag, tables.columns, tables.first_contexts
    found, count = 0, len(places) - 1
    for rank in range(len(tables.rows)):
        neighbours[:] = tables.blank_row
        start, in_row = tables.rows[rank] * width, 0
        target = places[found] - start
        for first in range(0, len(columns), MAP_BLOCK_COLUMNS):
            if state[NEXT_BYTE] > len(data) + 8:
                return found
            due = tables.column_due_levels[rank] + tables.row_due_levels[first]
            sure = tables.row_hit_levels[in_row] - due
            for column in columns[first : first + MAP_BLOCK_COLUMNS]:
                here = column + lag + 1
                context = levels[tables.column_hit_levels[hits[column]] + sure] + neighbours[here]
                if code_bit(state, data, probabilities, bit_counts, context, 1 if column == target else 0):
                    places[found] = start + column
                    found += 1
                    if found == count:
                        return found
                    target = places[found] - start
                    hits[column] += 1
                    in_row += 1
                    sure = tables.row_hit_levels[in_row] - due
                    neighbours[here + 1] |= 1
                    neighbours[here + 2] |= 2
                    neighbours[here + lag] |= 4
                    neighbours[here + lag - 1] |= 8
                    neighbours[here + lag + 1] |= 8
    return found


def code_value_bits(
    state: Any,
    data: Any,
    values: Any,
    places: Any,
    width: int,
    lag: int,
    largest: int,
    probabilities: Any,
    bit_counts: Any,
    signs: Any,
    sizes: Any,
    blank_row: Any,
) -> None:
    """Code signed numbers, none of them 0, by the signs and sizes of their neighbours."""
    row, before = -1, 0
    for i in range(len(values)):
        place = places[i]
        if place // width != row:
            if state[NEXT_BYTE] > len(data) + 8:
                return
            row = place // width
            signs[:] = blank_row
            sizes[:] = blank_row
        here = place - row * width + lag + 1
        up = here - lag
        vote = 2 * (signs[here - 1] + signs[up]) + signs[here - 2] + signs[up - 1] + signs[up + 1]
        negative = code_bit(
            state,
            data,
            probabilities,
            bit_counts,
            NEUTRAL_SIGN_CONTEXT + vote if vote else 17 + before,
            1 if values[i] < 0 else 0,
        )
        near = abs(signs[here - 1]) + abs(signs[up]) + abs(signs[here - 2]) + abs(signs[up - 1]) + abs(signs[up + 1])
        level = 0
        if near:
            around = sizes[here - 1] + sizes[up] + sizes[here - 2] + sizes[up - 1] + sizes[up + 1]
            level = min(SIZE_LEVELS - 1, 1 + 12 * around // (near * (largest + 1)))
        size = code_size_bits(
            state, data, probabilities, bit_counts, SIGN_CONTEXTS + level * MAX_UNARY_SIZE, largest, abs(values[i])
        )
        before = 1 if negative else 2
        signs[here], sizes[here] = -1 if negative else 1, size
        values[i] = -size if negative else size


def code_size_bits(
    state: Any, data: Any, probabilities: Any, bit_counts: Any, context: int, largest: int, size: int
) -> int:
    """Code a number of 1..largest: unary up to 16, else its length in unary and then its bits."""
    found = 1
    if largest <= MAX_UNARY_SIZE:
        while found < largest and code_bit(
            state, data, probabilities, bit_counts, context + found - 1, 1 if size > found else 0
        ):
            found += 1
        return found
    length = 0
    while largest >> length + 1 and code_bit(
        state, data, probabilities, bit_counts, context + length, 1 if size >> length + 1 else 0
    ):
        length += 1
    for bit in range(length - 1, -1, -1):
        inside = FIRST_MANTISSA_CONTEXT + length * 32 + (found if found < 8 else 8 + bit)
        found = found * 2 | code_bit(state, data, probabilities, bit_counts, inside, size >> bit & 1)
    return found


def code_id_bits(
    state: Any,
    data: Any,
    ids: Any,
    places: Any,
    width: int,
    lag: int,
    depth: int,
    size: int,
    probabilities: Any,
    bit_counts: Any,
    row: Any,
    blank_row: Any,
) -> None:
    """Code numbers of 0..size - 1, bit by bit from the highest; the first three bits by the mean of the neighbours."""
    current = -1
    for i in range(len(ids)):
        place = places[i]
        if place // width != current:
            if state[NEXT_BYTE] > len(data) + 8:
                return
            current = place // width
            row[:] = blank_row
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
                context = level + node if node < 8 else FIRST_ID_CONTEXT + node
                node = node * 2 | code_bit(state, data, probabilities, bit_counts, context, ids[i] >> bit & 1)
        ids[i] = node - (1 << depth)
        row[here] = ids[i] + 1
