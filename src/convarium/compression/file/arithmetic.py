"""Adaptive binary arithmetic coding of kept places, signed whole numbers and ids (`kernels`, `range_coder`).

A piece is a varint and a stream. The varint is the lag (`density.lag`) times four, and for a map whether rows (1) and
columns (2) that hold nothing are told first and left out. Symbols and integers use the places they lie at.
"""

from collections.abc import Sequence
from math import prod

import numpy as np

from convarium.compression.file import density
from convarium.compression.file.coder import Coder, Numbers, Places
from convarium.compression.file.kernels import UNARY
from convarium.compression.file.pieces import COLUMNS, ROWS, Piece, code_ids, code_map, code_values, matrix
from convarium.compression.file.varint import read_varint, varint
from convarium.errors import UserError

STRICT_MAP, STRICT_SIGNS = 20, 8
ENOUGH, SHARE = 16, 8
ROW = 1024
SPLIT = 4


class Arithmetic(Coder):
    """Contexts learn while they code; nothing but the lag is told beforehand."""

    def encode_values(self, values: bytes, item: int, places: Places | None) -> bytes:
        """Write values of four bytes: the highest (sign and exponent) coded, the others as they are; others all so."""
        if item != SPLIT or len(values) < SPLIT * ENOUGH:
            return values
        parts = np.frombuffer(values, dtype=np.uint8).reshape(-1, item)
        return self.encode_symbols(parts[:, -1], 256, places) + parts[:, :-1].tobytes()

    def decode_values(self, data: memoryview, size: int, item: int, places: Places | None) -> tuple[bytes, int]:
        """Read `size` bytes of values."""
        if item != SPLIT or size < SPLIT * ENOUGH:
            return super().decode_values(data, size, item, places)
        count = size // item
        highest, begin = self.decode_symbols(data, count, 256, places)
        rest, used = super().decode_values(data[begin:], size - count, item, places)
        parts = np.column_stack([np.frombuffer(rest, dtype=np.uint8).reshape(count, -1), highest.astype(np.uint8)])
        return parts.tobytes(), begin + used

    def encode_positions(self, positions: Numbers, shape: Sequence[int]) -> bytes:
        """Write ascending flat positions; nothing where none or all are kept."""
        if len(positions) in (0, prod(shape)):
            return b""
        marks = _marks(Places(positions, shape), np.ones(len(positions), dtype=np.int8))
        lag, (flagged, flags) = density.lag(marks, STRICT_MAP), _emptiness(marks)
        piece = Piece(shape, lag, None, _of_map(shape))
        code_map(piece, positions, len(positions), flagged, flags)
        return varint(lag << 2 | flagged) + piece.made()

    def decode_positions(self, data: memoryview, count: int, shape: Sequence[int]) -> tuple[Numbers, int]:
        """Read `count` ascending positions in a tensor of `shape`, as int64."""
        if count in (0, prod(shape)):
            return np.arange(count), 0
        head, begin = read_varint(data)
        piece = Piece(shape, head >> 2, data[begin:], _of_map(shape))
        return _read_map(piece, count, head & 3), begin + piece.used()

    def encode_symbols(self, symbols: Numbers, size: int, places: Places | None) -> bytes:
        """Write whole numbers of 0..size - 1."""
        ids = symbols.astype(np.int64)
        if not len(ids) or size == 1:
            return b""
        places = places or _everywhere(ids.shape)
        lag = density.lag(_marks(places, np.sign(ids * len(ids) - ids.sum())), STRICT_SIGNS)
        piece = Piece(places.shape, lag, None, len(ids) * size.bit_length())
        code_ids(piece, ids, places.positions, size)
        return varint(lag << 2) + piece.made()

    def decode_symbols(self, data: memoryview, count: int, size: int, places: Places | None) -> tuple[Numbers, int]:
        """Read `count` whole numbers of 0..size - 1."""
        if not count or size == 1:
            return np.zeros(count, dtype=np.int64), 0
        head, begin = _head(data, mapped=False)
        at, shape = places or _everywhere((count,))
        piece = Piece(shape, head >> 2, data[begin:], count * size.bit_length())
        return code_ids(piece, np.zeros(count, dtype=np.int64), at, size), begin + piece.used()

    def encode_integers(self, values: Numbers, largest: int, zeros: bool, places: Places | None) -> bytes:
        """Write signed whole numbers; if there may be zeros, first how many are none, and which."""
        if not zeros:
            return _encode_kept(values.ravel(), places or _everywhere(values.shape), largest, mapped=False)
        kept = np.flatnonzero(values)
        mapped = len(kept) < values.size
        count = varint(len(kept)) if values.size else b""
        return count + _encode_kept(values.ravel()[kept], Places(kept, values.shape), largest, mapped)

    def decode_integers(
        self, data: memoryview, shape: Sequence[int], largest: int, zeros: bool, places: Places | None
    ) -> tuple[Numbers, int]:
        """Read a tensor of `shape`, as int64."""
        found, begin = np.zeros(prod(shape), dtype=np.int64), 0
        count = found.size
        if zeros and count:
            count, begin = read_varint(data)
        if count > found.size:
            raise UserError("more numbers are not zero than the tensor has")
        around = Places(None, shape) if zeros else places or _everywhere(shape)
        at, values, used = _decode_kept(data[begin:], around, count, largest, mapped=count < found.size)
        found[at if count < found.size else slice(None)] = values
        return found.reshape(shape), begin + used


def _encode_kept(values: Numbers, places: Places, largest: int, mapped: bool) -> bytes:
    """Numbers other than 0, and, in the same stream, the map of where they are."""
    if not len(values):
        return b""
    marks = _marks(places, np.sign(values))
    lag, (flagged, flags) = density.lag(marks, STRICT_SIGNS), _emptiness(marks)
    piece = Piece(places.shape, lag, None, _of_map(places.shape) * mapped + _of_values(len(values), largest))
    if mapped and places.positions is not None:
        code_map(piece, places.positions, len(values), flagged, flags)
    code_values(piece, values, places.positions, largest)
    return varint(lag << 2 | flagged * mapped) + piece.made()


def _decode_kept(
    data: memoryview, places: Places, count: int, largest: int, mapped: bool
) -> tuple[Numbers | None, Numbers, int]:
    """Where the numbers are, they themselves, and how many bytes they took."""
    at, shape = places
    if not count:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), 0
    head, begin = _head(data, mapped)
    piece = Piece(shape, head >> 2, data[begin:], _of_map(shape) * mapped + _of_values(count, largest))
    if mapped:
        at = _read_map(piece, count, head & 3)
    values = code_values(piece, np.zeros(count, dtype=np.int64), at, largest)
    return at, values, begin + piece.used()


def _head(data: memoryview, mapped: bool) -> tuple[int, int]:
    head, begin = read_varint(data)
    if head & 3 and not mapped:
        raise UserError("a coded stream has flags and no map")
    return head, begin


def _read_map(piece: Piece, count: int, flagged: int) -> Numbers:
    flags = np.ones(piece.rows, dtype=np.int64), np.ones(piece.width, dtype=np.int64)
    return code_map(piece, np.zeros(0), count, flagged, flags)


def _marks(places: Places, marks: Numbers) -> Numbers:
    """A mark for each number, where it lies, in rows."""
    found = np.zeros(prod(places.shape), dtype=np.int8)
    found[slice(len(marks)) if places.positions is None else places.positions] = marks
    return found.reshape(matrix(places.shape))


def _everywhere(shape: Sequence[int]) -> Places:
    """All places of a tensor; a long vector is laid in rows, of which the last may be longer than what is left."""
    return Places(None, shape if len(shape) > 1 or prod(shape) <= ROW else (-(-prod(shape) // ROW), ROW))


def _emptiness(marks: Numbers) -> tuple[int, tuple[Numbers, Numbers]]:
    """Whether it pays to tell which rows and columns hold anything, and that as ones and zeros."""
    flagged = 0
    flags: list[Numbers] = []
    for which, along in ((ROWS, 1), (COLUMNS, 0)):
        held: Numbers = np.any(marks, axis=along)
        pays = marks.shape[along] >= ENOUGH and np.count_nonzero(~held) * SHARE > held.size
        flagged |= which if pays else 0
        flags.append(held.astype(np.int64) if pays else np.ones(held.size, dtype=np.int64))
    return flagged, (flags[0], flags[1])


def _of_map(shape: Sequence[int]) -> int:
    """The most bits that a map codes."""
    return prod(shape) + sum(matrix(shape))


def _of_values(count: int, largest: int) -> int:
    """The most bits that so many numbers are coded in."""
    return count * (1 + (largest if largest <= UNARY else 2 * largest.bit_length()))
