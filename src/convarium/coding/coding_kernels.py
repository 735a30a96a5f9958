"""Loops of the arithmetic coder, bit by bit: flags, the map of kept values, their signs and sizes, ids.

The loops run on lists, or on arrays where numba compiles them (`kernel_backend`). The same loop codes and decodes
(`range_coder.code_bit`).

A value is predicted by its neighbours: the two values to its left, and the three around the place `lag` to the left,
which in a flattened image are those of the row above. A row of neighbours has `lag + 1` blank slots before its first
column and after its last, so that an index never leaves it.
"""

from typing import Any, NamedTuple

from convarium.coding.range_coder import NEXT_BYTE, code_bit

# All numbers here are part of the file format: another value makes other bytes.
MAP_BLOCK_COLUMNS = 16  # what is due is estimated once for so many columns
NEIGHBOUR_CONTEXTS = 16  # four bits: left, second to the left, above, beside above

# Contexts of values: signs (1 to 15 by the vote of the neighbours, 17 to 19 by the last sign), sizes, mantissas.
SIGN_CONTEXTS, NEUTRAL_SIGN_CONTEXT, LAST_SIGN_CONTEXT = 20, 8, 17
SIZE_LEVELS, MAX_UNARY_SIZE = 13, 16
FIRST_MANTISSA_CONTEXT = SIGN_CONTEXTS + SIZE_LEVELS * MAX_UNARY_SIZE
VALUE_CONTEXTS = FIRST_MANTISSA_CONTEXT + 16 * 32  # 32 for each length of a size

# The first three bits of an id have eight contexts for each of nine levels: no neighbours, or their mean in eighths.
FIRST_ID_CONTEXT = 72


class MapTables(NamedTuple):
    """Rows and columns with kept values, and tables of logarithms in quarters of an octave.

    Attributes:
        rows: the numbers of the rows that hold a kept value.
        columns: the numbers of the columns that hold one.
        width: columns of the tensor.
        lag: how far to the left the row above lies in a flattened image.
        column_hit_levels: the level of a column, by how many kept values it has had.
        row_hit_levels: the level of a row, likewise.
        column_due_levels: the level that a column has on average, by how many rows were coded.
        row_due_levels: the level that a row has on average, by how many columns were coded.
        first_contexts: the first context of each sum of levels (hits minus due).
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
    """Code zeros and ones, each in the context of the two before it."""
    context = 0
    for index in range(len(flags)):
        flags[index] = code_bit(state, data, probabilities, bit_counts, context, flags[index])
        context = context * 2 & 3 | flags[index]


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
    """Code which places are kept; return how many were coded.

    A place's context is how many kept values its column and row have had against what is due by now, and which of its
    neighbours are kept.

    Args:
        state: of the stream (`range_coder`).
        data: the bytes of the stream.
        places: ascending flat positions, and -1 as a stop; when reading all are -1 and are filled in.
        tables: what is constant over the map.
        probabilities: of a one, by context.
        bit_counts: how many bits each context has seen.
        hits: zeros, one for each column of the tensor.
        neighbours: a row of neighbours.
    """
    width, lag, columns, first_contexts = tables.width, tables.lag, tables.columns, tables.first_contexts
    kept_count, count = 0, len(places) - 1
    for rank in range(len(tables.rows)):
        neighbours[:] = tables.blank_row
        row_start, row_hits = tables.rows[rank] * width, 0
        kept_column = places[kept_count] - row_start
        for first in range(0, len(columns), MAP_BLOCK_COLUMNS):
            # Past its end a stream reads as zeros: without this a cut one would be decoded to the last place.
            if state[NEXT_BYTE] > len(data) + 8:
                return kept_count
            due_level = tables.column_due_levels[rank] + tables.row_due_levels[first]
            row_level = tables.row_hit_levels[row_hits] - due_level
            for column in columns[first : first + MAP_BLOCK_COLUMNS]:
                slot = column + lag + 1
                context = first_contexts[tables.column_hit_levels[hits[column]] + row_level] + neighbours[slot]
                if code_bit(state, data, probabilities, bit_counts, context, 1 if column == kept_column else 0):
                    places[kept_count] = row_start + column
                    kept_count += 1
                    if kept_count == count:
                        return kept_count
                    kept_column = places[kept_count] - row_start
                    hits[column] += 1
                    row_hits += 1
                    row_level = tables.row_hit_levels[row_hits] - due_level
                    # Marked ahead, where this place will be a neighbour: a place then needs a single look.
                    neighbours[slot + 1] |= 1
                    neighbours[slot + 2] |= 2
                    neighbours[slot + lag] |= 4
                    neighbours[slot + lag - 1] |= 8
                    neighbours[slot + lag + 1] |= 8
    return kept_count


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
    """Code signed numbers, none of them 0, by the signs and sizes of their neighbours.

    Args:
        state: of the stream (`range_coder`).
        data: the bytes of the stream.
        values: the numbers; when reading they are filled in.
        places: the ascending flat position of each.
        width: columns of the tensor.
        lag: how far to the left the row above lies in a flattened image.
        largest: the bound of the numbers' size.
        probabilities: of a one, by context.
        bit_counts: how many bits each context has seen.
        signs: a row of neighbours: -1, 1, or 0 where there is no number.
        sizes: a row of neighbours.
        blank_row: zeros, of the length of a row of neighbours.
    """
    row, last_sign = -1, 0
    for i in range(len(values)):
        place = places[i]
        if place // width != row:
            if state[NEXT_BYTE] > len(data) + 8:  # a cut stream, as in `code_map_bits`
                return
            row = place // width
            signs[:] = blank_row
            sizes[:] = blank_row
        slot = place - row * width + lag + 1
        above = slot - lag
        vote = 2 * (signs[slot - 1] + signs[above]) + signs[slot - 2] + signs[above - 1] + signs[above + 1]
        context = NEUTRAL_SIGN_CONTEXT + vote if vote else LAST_SIGN_CONTEXT + last_sign
        negative = code_bit(state, data, probabilities, bit_counts, context, 1 if values[i] < 0 else 0)
        neighbour_count = abs(signs[slot - 1]) + abs(signs[above]) + abs(signs[slot - 2])
        neighbour_count += abs(signs[above - 1]) + abs(signs[above + 1])
        level = 0
        if neighbour_count:
            size_sum = sizes[slot - 1] + sizes[above] + sizes[slot - 2] + sizes[above - 1] + sizes[above + 1]
            level = min(SIZE_LEVELS - 1, 1 + 12 * size_sum // (neighbour_count * (largest + 1)))
        context = SIGN_CONTEXTS + level * MAX_UNARY_SIZE
        size = code_size_bits(state, data, probabilities, bit_counts, context, largest, abs(values[i]))
        last_sign = 1 if negative else 2
        signs[slot] = -1 if negative else 1
        sizes[slot] = size
        values[i] = -size if negative else size


def code_size_bits(
    state: Any, data: Any, probabilities: Any, bit_counts: Any, context: int, largest: int, size: int
) -> int:
    """Code a number of 1..largest and return it: in unary for a `largest` of up to 16, else as an Elias gamma code.

    That code is the number of bits after the first one, in unary, then these bits. The unary part uses the contexts
    from `context` on.
    """
    coded_size = 1
    if largest <= MAX_UNARY_SIZE:
        while coded_size < largest and code_bit(
            state, data, probabilities, bit_counts, context + coded_size - 1, 1 if size > coded_size else 0
        ):
            coded_size += 1
        return coded_size
    length = 0
    while largest >> length + 1 and code_bit(
        state, data, probabilities, bit_counts, context + length, 1 if size >> length + 1 else 0
    ):
        length += 1
    for bit in range(length - 1, -1, -1):
        # The first three bits by those before them, the others by their position alone: few contexts learn faster.
        mantissa_context = FIRST_MANTISSA_CONTEXT + length * 32 + (coded_size if coded_size < 8 else 8 + bit)
        coded_size = coded_size * 2 | code_bit(
            state, data, probabilities, bit_counts, mantissa_context, size >> bit & 1
        )
    return coded_size


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
    neighbours: Any,
    blank_row: Any,
) -> None:
    """Code numbers of 0..size - 1, bit by bit from the highest; the first three bits by the mean of the neighbours.

    Args:
        state: of the stream (`range_coder`).
        data: the bytes of the stream.
        ids: the numbers; when reading they are filled in.
        places: the ascending flat position of each.
        width: columns of the tensor.
        lag: how far to the left the row above lies in a flattened image.
        depth: bits of a number.
        size: how many different numbers there may be.
        probabilities: of a one, by context.
        bit_counts: how many bits each context has seen.
        neighbours: a row of neighbours: a number plus 1, or 0 where there is none.
        blank_row: zeros, of the length of a row of neighbours.
    """
    row = -1
    for i in range(len(ids)):
        place = places[i]
        if place // width != row:
            if state[NEXT_BYTE] > len(data) + 8:  # a cut stream, as in `code_map_bits`
                return
            row = place // width
            neighbours[:] = blank_row
        slot = place - row * width + lag + 1
        above = slot - lag
        neighbour_sum, neighbour_count = 0, 0
        for neighbour in (slot - 1, slot - 2, above, above - 1, above + 1):
            if neighbours[neighbour]:
                neighbour_sum += neighbours[neighbour] - 1
                neighbour_count += 1
        level = 8 * (1 + neighbour_sum * 8 // (neighbour_count * size)) if neighbour_count else 0
        node = 1  # in a binary tree: a one, then the bits so far
        for bit in range(depth - 1, -1, -1):
            if (node * 2 + 1 << bit) - (1 << depth) >= size:  # a one would leave the range: nothing to code
                node *= 2
            else:
                context = level + node if node < 8 else FIRST_ID_CONTEXT + node
                node = node * 2 | code_bit(state, data, probabilities, bit_counts, context, ids[i] >> bit & 1)
        ids[i] = node - (1 << depth)
        neighbours[slot] = ids[i] + 1
