"""Adaptive binary arithmetic coding of kept places, signed whole numbers and ids (`coding_kernels`, `range_coder`).

What one call writes is a head and a stream. The head is a varint: the lag (`density_contexts.find_lag`) times four, and
for a map 1 if empty rows and 2 if empty columns are flagged first and left out. Symbols and integers are predicted by
their neighbours, for which the places they lie at are needed.
"""

from collections.abc import Sequence
from math import prod

import numpy as np

from convarium.coding import density_contexts
from convarium.coding.arithmetic_stream import (
    FLAGGED_COLUMNS,
    FLAGGED_ROWS,
    ArithmeticStream,
    code_ids,
    code_map,
    code_values,
    flatten_to_matrix_shape,
)
from convarium.coding.coder import Coder, Numbers, Places
from convarium.coding.coding_kernels import MAX_UNARY_SIZE
from convarium.coding.varint import decode_varint, encode_varint
from convarium.errors import UserError

MAP_LAG_MIN_SIGMAS, SIGN_LAG_MIN_SIGMAS = 20, 8
MIN_CODED_COUNT = 16  # fewer numbers are not worth a stream, or flags of their own
EMPTY_SHARE_DIVISOR = 8  # flags pay where more than an eighth of the rows or columns is empty
VECTOR_ROW_LENGTH = 1024  # part of the file format
FLOAT_BYTES = 4


class ArithmeticCoder(Coder):
    """Codes with contexts that learn as they go: no table is stored, only the lag."""

    def encode_values(self, values: bytes, item_bytes: int, places: Places | None) -> bytes:
        """Code the highest byte of each four-byte value; values of another width, or only a few, stay as they are."""
        if item_bytes != FLOAT_BYTES or len(values) < FLOAT_BYTES * MIN_CODED_COUNT:
            return values
        rows = np.frombuffer(values, dtype=np.uint8).reshape(-1, item_bytes)
        # The highest byte of a float (the last: little-endian) is sign and exponent; the others are close to random.
        return self.encode_symbols(rows[:, -1], 256, places) + rows[:, :-1].tobytes()

    def decode_values(self, data: memoryview, size: int, item_bytes: int, places: Places | None) -> tuple[bytes, int]:
        """Read `size` bytes of values of `item_bytes` bytes each."""
        if item_bytes != FLOAT_BYTES or size < FLOAT_BYTES * MIN_CODED_COUNT:
            return super().decode_values(data, size, item_bytes, places)
        count = size // item_bytes
        highest, begin = self.decode_symbols(data, count, 256, places)
        plain, used = super().decode_values(data[begin:], size - count, item_bytes, places)
        lower = np.frombuffer(plain, dtype=np.uint8).reshape(count, -1)
        rows = np.column_stack([lower, highest.astype(np.uint8)])
        return rows.tobytes(), begin + used

    def encode_positions(self, positions: Numbers, shape: Sequence[int]) -> bytes:
        """Write ascending flat positions; no byte where none or all are kept."""
        if len(positions) in (0, prod(shape)):
            return b""
        marks = _place_marks(Places(positions, shape), np.ones(len(positions), dtype=np.int8))
        lag = density_contexts.find_lag(marks, MAP_LAG_MIN_SIGMAS)
        flagged_lines, flags = _find_empty_lines(marks)
        stream = ArithmeticStream(shape, lag, None, _bound_map_bits(shape))
        code_map(stream, positions, len(positions), flagged_lines, flags)
        return encode_varint(lag << 2 | flagged_lines) + stream.finish()

    def decode_positions(self, data: memoryview, count: int, shape: Sequence[int]) -> tuple[Numbers, int]:
        """Read `count` ascending positions in a tensor of `shape`, as int64."""
        if count in (0, prod(shape)):
            return np.arange(count), 0
        head, begin = decode_varint(data)
        stream = ArithmeticStream(shape, head >> 2, data[begin:], _bound_map_bits(shape))
        positions = _decode_map(stream, count, head & 3)
        return positions, begin + stream.count_used_bytes()

    def encode_symbols(self, symbols: Numbers, size: int, places: Places | None) -> bytes:
        """Write whole numbers of 0..size - 1."""
        ids = symbols.astype(np.int64)
        if not len(ids) or size == 1:
            return b""
        places = places or _build_full_places(ids.shape)
        signs = np.sign(ids * len(ids) - ids.sum())  # above or below the mean, without rounding
        lag = density_contexts.find_lag(_place_marks(places, signs), SIGN_LAG_MIN_SIGMAS)
        stream = ArithmeticStream(places.shape, lag, None, len(ids) * size.bit_length())
        code_ids(stream, ids, places.positions, size)
        return encode_varint(lag << 2) + stream.finish()

    def decode_symbols(self, data: memoryview, count: int, size: int, places: Places | None) -> tuple[Numbers, int]:
        """Read `count` whole numbers of 0..size - 1."""
        if not count or size == 1:
            return np.zeros(count, dtype=np.int64), 0
        head, begin = _read_stream_head(data, has_map=False)
        positions, shape = places or _build_full_places((count,))
        stream = ArithmeticStream(shape, head >> 2, data[begin:], count * size.bit_length())
        ids = code_ids(stream, np.zeros(count, dtype=np.int64), positions, size)
        return ids, begin + stream.count_used_bytes()

    def encode_integers(self, values: Numbers, largest: int, zeros: bool, places: Places | None) -> bytes:
        """Write signed whole numbers; with `zeros`, first how many are not 0 and a map of them, then these alone."""
        if not zeros:
            return _encode_nonzeros(values.ravel(), places or _build_full_places(values.shape), largest, has_map=False)
        if not values.size:
            return b""
        kept = np.flatnonzero(values)
        has_map = len(kept) < values.size
        nonzeros = _encode_nonzeros(values.ravel()[kept], Places(kept, values.shape), largest, has_map)
        return encode_varint(len(kept)) + nonzeros

    def decode_integers(
        self, data: memoryview, shape: Sequence[int], largest: int, zeros: bool, places: Places | None
    ) -> tuple[Numbers, int]:
        """Read a tensor of `shape`, as int64."""
        size = prod(shape)
        count, begin = size, 0
        if zeros and size:
            count, begin = decode_varint(data)
        if count > size:
            raise UserError("more numbers are not zero than the tensor has")
        has_map = count < size
        if zeros:
            places = Places(None, shape)
        elif places is None:
            places = _build_full_places(shape)
        positions, nonzeros, used = _decode_nonzeros(data[begin:], places, count, largest, has_map)
        if not has_map:
            return nonzeros.reshape(shape), begin + used
        values = np.zeros(size, dtype=np.int64)
        values[positions] = nonzeros
        return values.reshape(shape), begin + used


def _encode_nonzeros(values: Numbers, places: Places, largest: int, has_map: bool) -> bytes:
    """Write numbers other than 0, and before them, in the same stream, the map of their places."""
    if not len(values):
        return b""
    marks = _place_marks(places, np.sign(values))
    lag = density_contexts.find_lag(marks, SIGN_LAG_MIN_SIGMAS)
    max_bits = _bound_value_bits(len(values), largest)
    if has_map:
        max_bits += _bound_map_bits(places.shape)
    stream = ArithmeticStream(places.shape, lag, None, max_bits)
    flagged_lines = 0
    if has_map and places.positions is not None:
        flagged_lines, flags = _find_empty_lines(marks)
        code_map(stream, places.positions, len(values), flagged_lines, flags)
    code_values(stream, values, places.positions, largest)
    return encode_varint(lag << 2 | flagged_lines) + stream.finish()


def _decode_nonzeros(
    data: memoryview, places: Places, count: int, largest: int, has_map: bool
) -> tuple[Numbers | None, Numbers, int]:
    """Return the positions of the numbers, the numbers, and how many bytes they took."""
    positions, shape = places
    if not count:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), 0
    head, begin = _read_stream_head(data, has_map)
    max_bits = _bound_value_bits(count, largest)
    if has_map:
        max_bits += _bound_map_bits(shape)
    stream = ArithmeticStream(shape, head >> 2, data[begin:], max_bits)
    if has_map:
        positions = _decode_map(stream, count, head & 3)
    values = code_values(stream, np.zeros(count, dtype=np.int64), positions, largest)
    return positions, values, begin + stream.count_used_bytes()


def _read_stream_head(data: memoryview, has_map: bool) -> tuple[int, int]:
    """Return the head of a stream, and how many bytes it took."""
    head, begin = decode_varint(data)
    if head & 3 and not has_map:
        raise UserError("a coded stream has flags and no map")
    return head, begin


def _decode_map(stream: ArithmeticStream, count: int, flagged_lines: int) -> Numbers:
    flags = np.ones(stream.rows, dtype=np.int64), np.ones(stream.width, dtype=np.int64)
    return code_map(stream, np.zeros(0), count, flagged_lines, flags)


def _place_marks(places: Places, marks: Numbers) -> Numbers:
    """Return a matrix with each mark at its place and zeros elsewhere."""
    tensor = np.zeros(prod(places.shape), dtype=np.int8)
    if places.positions is None:
        tensor[: len(marks)] = marks
    else:
        tensor[places.positions] = marks
    return tensor.reshape(flatten_to_matrix_shape(places.shape))


def _build_full_places(shape: Sequence[int]) -> Places:
    """Return all places of a tensor; a long vector is cut into rows, and the last one may be only partly used."""
    size = prod(shape)
    if len(shape) > 1 or size <= VECTOR_ROW_LENGTH:
        return Places(None, shape)
    rows = -(-size // VECTOR_ROW_LENGTH)  # rounded up
    return Places(None, (rows, VECTOR_ROW_LENGTH))


def _find_empty_lines(marks: Numbers) -> tuple[int, tuple[Numbers, Numbers]]:
    """Return which lines are worth flags, and the flags of rows and of columns: 1 where there is a kept value.

    Lines are rows or columns; the first result is FLAGGED_ROWS, FLAGGED_COLUMNS, both or 0. Where flags are not worth
    their bits, all are 1.
    """
    row_flags = _flag_lines(marks, axis=1)
    column_flags = _flag_lines(marks, axis=0)
    flagged_lines = 0
    if not row_flags.all():
        flagged_lines |= FLAGGED_ROWS
    if not column_flags.all():
        flagged_lines |= FLAGGED_COLUMNS
    return flagged_lines, (row_flags, column_flags)


def _flag_lines(marks: Numbers, axis: int) -> Numbers:
    has_marks: Numbers = np.any(marks, axis=axis)
    empty_count = np.count_nonzero(~has_marks)
    if marks.shape[axis] < MIN_CODED_COUNT or empty_count * EMPTY_SHARE_DIVISOR <= has_marks.size:
        return np.ones(has_marks.size, dtype=np.int64)
    return has_marks.astype(np.int64)


def _bound_map_bits(shape: Sequence[int]) -> int:
    """Return the most bits that a map codes: one for each place, row and column."""
    return prod(shape) + sum(flatten_to_matrix_shape(shape))


def _bound_value_bits(count: int, largest: int) -> int:
    """Return the most bits that so many signed numbers code."""
    size_bits = largest if largest <= MAX_UNARY_SIZE else 2 * largest.bit_length()
    return count * (1 + size_bits)
