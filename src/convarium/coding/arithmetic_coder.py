"""Adaptive binary arithmetic coding of kept places, signed whole numbers and ids (`kernels`, `range_coder`).

A piece is a varint and a stream. The varint is the lag (`density_contexts.find_lag`) times four, and for a map whether
rows (1) and columns (2) that hold nothing are told first and left out. Symbols and integers use the places they lie at.
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
MIN_CODED_COUNT, EMPTY_SHARE_DIVISOR = 16, 8
VECTOR_ROW_LENGTH = 1024
FLOAT_BYTES = 4


class ArithmeticCoder(Coder):
    """Contexts learn while they code; nothing but the lag is told beforehand."""

    def encode_values(self, values: bytes, item_bytes: int, places: Places | None) -> bytes:
        """Write values of four bytes: the highest (sign and exponent) coded, the others as they are; others all so."""
        if item_bytes != FLOAT_BYTES or len(values) < FLOAT_BYTES * MIN_CODED_COUNT:
            return values
        parts = np.frombuffer(values, dtype=np.uint8).reshape(-1, item_bytes)
        return self.encode_symbols(parts[:, -1], 256, places) + parts[:, :-1].tobytes()

    def decode_values(self, data: memoryview, size: int, item_bytes: int, places: Places | None) -> tuple[bytes, int]:
        """Read `size` bytes of values."""
        if item_bytes != FLOAT_BYTES or size < FLOAT_BYTES * MIN_CODED_COUNT:
            return super().decode_values(data, size, item_bytes, places)
        count = size // item_bytes
        highest, begin = self.decode_symbols(data, count, 256, places)
        rest, used = super().decode_values(data[begin:], size - count, item_bytes, places)
        parts = np.column_stack([np.frombuffer(rest, dtype=np.uint8).reshape(count, -1), highest.astype(np.uint8)])
        return parts.tobytes(), begin + used

    def encode_positions(self, positions: Numbers, shape: Sequence[int]) -> bytes:
        """Write ascending flat positions; nothing where none or all are kept."""
        if len(positions) in (0, prod(shape)):
            return b""
        marks = _place_marks(Places(positions, shape), np.ones(len(positions), dtype=np.int8))
        lag, (flagged, flags) = density_contexts.find_lag(marks, MAP_LAG_MIN_SIGMAS), _find_empty_lines(marks)
        piece = ArithmeticStream(shape, lag, None, _bound_map_bits(shape))
        code_map(piece, positions, len(positions), flagged, flags)
        return encode_varint(lag << 2 | flagged) + piece.finish()

    def decode_positions(self, data: memoryview, count: int, shape: Sequence[int]) -> tuple[Numbers, int]:
        """Read `count` ascending positions in a tensor of `shape`, as int64."""
        if count in (0, prod(shape)):
            return np.arange(count), 0
        head, begin = decode_varint(data)
        piece = ArithmeticStream(shape, head >> 2, data[begin:], _bound_map_bits(shape))
        return _decode_map(piece, count, head & 3), begin + piece.count_used_bytes()

    def encode_symbols(self, symbols: Numbers, size: int, places: Places | None) -> bytes:
        """Write whole numbers of 0..size - 1."""
        ids = symbols.astype(np.int64)
        if not len(ids) or size == 1:
            return b""
        places = places or _build_full_places(ids.shape)
        lag = density_contexts.find_lag(_place_marks(places, np.sign(ids * len(ids) - ids.sum())), SIGN_LAG_MIN_SIGMAS)
        piece = ArithmeticStream(places.shape, lag, None, len(ids) * size.bit_length())
        code_ids(piece, ids, places.positions, size)
        return encode_varint(lag << 2) + piece.finish()

    def decode_symbols(self, data: memoryview, count: int, size: int, places: Places | None) -> tuple[Numbers, int]:
        """Read `count` whole numbers of 0..size - 1."""
        if not count or size == 1:
            return np.zeros(count, dtype=np.int64), 0
        head, begin = _read_stream_head(data, has_map=False)
        at, shape = places or _build_full_places((count,))
        piece = ArithmeticStream(shape, head >> 2, data[begin:], count * size.bit_length())
        return code_ids(piece, np.zeros(count, dtype=np.int64), at, size), begin + piece.count_used_bytes()

    def encode_integers(self, values: Numbers, largest: int, zeros: bool, places: Places | None) -> bytes:
        """Write signed whole numbers; if there may be zeros, first how many are none, and which."""
        if not zeros:
            return _encode_nonzeros(values.ravel(), places or _build_full_places(values.shape), largest, has_map=False)
        kept = np.flatnonzero(values)
        mapped = len(kept) < values.size
        count = encode_varint(len(kept)) if values.size else b""
        return count + _encode_nonzeros(values.ravel()[kept], Places(kept, values.shape), largest, mapped)

    def decode_integers(
        self, data: memoryview, shape: Sequence[int], largest: int, zeros: bool, places: Places | None
    ) -> tuple[Numbers, int]:
        """Read a tensor of `shape`, as int64."""
        found, begin = np.zeros(prod(shape), dtype=np.int64), 0
        count = found.size
        if zeros and count:
            count, begin = decode_varint(data)
        if count > found.size:
            raise UserError("more numbers are not zero than the tensor has")
        around = Places(None, shape) if zeros else places or _build_full_places(shape)
        at, values, used = _decode_nonzeros(data[begin:], around, count, largest, has_map=count < found.size)
        found[at if count < found.size else slice(None)] = values
        return found.reshape(shape), begin + used


def _encode_nonzeros(values: Numbers, places: Places, largest: int, has_map: bool) -> bytes:
    """Numbers other than 0, and, in the same stream, the map of where they are."""
    if not len(values):
        return b""
    marks = _place_marks(places, np.sign(values))
    lag, (flagged, flags) = density_contexts.find_lag(marks, SIGN_LAG_MIN_SIGMAS), _find_empty_lines(marks)
    piece = ArithmeticStream(
        places.shape, lag, None, _bound_map_bits(places.shape) * has_map + _bound_value_bits(len(values), largest)
    )
    if has_map and places.positions is not None:
        code_map(piece, places.positions, len(values), flagged, flags)
    code_values(piece, values, places.positions, largest)
    return encode_varint(lag << 2 | flagged * has_map) + piece.finish()


def _decode_nonzeros(
    data: memoryview, places: Places, count: int, largest: int, has_map: bool
) -> tuple[Numbers | None, Numbers, int]:
    """Where the numbers are, they themselves, and how many bytes they took."""
    at, shape = places
    if not count:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), 0
    head, begin = _read_stream_head(data, has_map)
    piece = ArithmeticStream(
        shape, head >> 2, data[begin:], _bound_map_bits(shape) * has_map + _bound_value_bits(count, largest)
    )
    if has_map:
        at = _decode_map(piece, count, head & 3)
    values = code_values(piece, np.zeros(count, dtype=np.int64), at, largest)
    return at, values, begin + piece.count_used_bytes()


def _read_stream_head(data: memoryview, has_map: bool) -> tuple[int, int]:
    head, begin = decode_varint(data)
    if head & 3 and not has_map:
        raise UserError("a coded stream has flags and no map")
    return head, begin


def _decode_map(piece: ArithmeticStream, count: int, flagged_lines: int) -> Numbers:
    flags = np.ones(piece.rows, dtype=np.int64), np.ones(piece.width, dtype=np.int64)
    return code_map(piece, np.zeros(0), count, flagged_lines, flags)


def _place_marks(places: Places, marks: Numbers) -> Numbers:
    """A mark for each number, where it lies, in rows."""
    found = np.zeros(prod(places.shape), dtype=np.int8)
    found[slice(len(marks)) if places.positions is None else places.positions] = marks
    return found.reshape(flatten_to_matrix_shape(places.shape))


def _build_full_places(shape: Sequence[int]) -> Places:
    """All places of a tensor; a long vector is laid in rows, of which the last may be longer than what is left."""
    return Places(
        None,
        shape
        if len(shape) > 1 or prod(shape) <= VECTOR_ROW_LENGTH
        else (-(-prod(shape) // VECTOR_ROW_LENGTH), VECTOR_ROW_LENGTH),
    )


def _find_empty_lines(marks: Numbers) -> tuple[int, tuple[Numbers, Numbers]]:
    """Whether it pays to tell which rows and columns hold anything, and that as ones and zeros."""
    flagged = 0
    flags: list[Numbers] = []
    for which, along in ((FLAGGED_ROWS, 1), (FLAGGED_COLUMNS, 0)):
        held: Numbers = np.any(marks, axis=along)
        pays = marks.shape[along] >= MIN_CODED_COUNT and np.count_nonzero(~held) * EMPTY_SHARE_DIVISOR > held.size
        flagged |= which if pays else 0
        flags.append(held.astype(np.int64) if pays else np.ones(held.size, dtype=np.int64))
    return flagged, (flags[0], flags[1])


def _bound_map_bits(shape: Sequence[int]) -> int:
    """The most bits that a map codes."""
    return prod(shape) + sum(flatten_to_matrix_shape(shape))


def _bound_value_bits(count: int, largest: int) -> int:
    """The most bits that so many numbers are coded in."""
    return count * (1 + (largest if largest <= MAX_UNARY_SIZE else 2 * largest.bit_length()))
