"""One stream of the arithmetic coder over one tensor, made or read: the same functions do both."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from convarium.compression.file import density, kernels
from convarium.compression.file.coder import Numbers
from convarium.compression.file.machine import machine
from convarium.compression.file.range_coder import HIGH, LOW, ONE, PLACE, begin, tail
from convarium.errors import UserError

LARGEST = 1 << 27
PRIOR = 12
ROWS, COLUMNS = 1, 2


class Piece:
    """A stream over a tensor of `shape`, seen as rows: its first size, the rest are columns; a vector is one row."""

    def __init__(self, shape: Sequence[int], lag: int, data: memoryview | None, decisions: int) -> None:
        """Begin to read `data`, or, if it is None, to make a stream, of at most `decisions` coded bits.

        Raises:
            UserError: the tensor has more than 2**27 values, or rows shorter than `lag`.
        """
        if prod(shape) > LARGEST:
            raise UserError(f"coder arithmetic takes tensors of at most {LARGEST} values")
        self.rows, self.width = matrix(shape)
        if lag > self.width:
            raise UserError("a coded stream looks back over more than a row")
        self.lag = lag or self.width + 1
        self.reading = data is not None
        self.on = machine(prod(shape))
        size = decisions * 3 // 2 + 16  # twelve bits each
        self.data = self.on.space(size) if data is None else self.on.bytes_of(data[:size])
        self.state = self.on.numbers(np.zeros(5, dtype=np.int64))
        begin(self.state, self.data, int(self.reading))

    def run(self, kernel: Callable[..., Any], *given: Any) -> Any:
        """Run a kernel on this stream."""
        return self.on.call(kernel, self.state, self.data, *given)

    def contexts(self, count: int) -> tuple[Any, Any]:
        """Even probabilities, and how often each was seen."""
        return self.on.numbers(np.full(count, ONE // 2)), self.on.numbers(np.ones(count, dtype=np.int64))

    def blank(self) -> Any:
        """A row of neighbours."""
        return density.blank(self.on, self.width, self.lag)

    def made(self) -> bytes:
        """The bytes of a stream that was made."""
        return bytes(self.data[: self.state[PLACE]]) + self._tail()

    def used(self) -> int:
        """How many bytes a stream that was read took.

        Raises:
            UserError: it does not end as one that was made.
        """
        place, last = int(self.state[PLACE]) - 4, self._tail()
        end = place + len(last)
        if end > len(self.data) or bytes(self.data[place:end]) != last:
            raise UserError("a coded stream is cut or damaged")
        return end

    def _tail(self) -> bytes:
        return tail(int(self.state[LOW]), int(self.state[HIGH]))


def matrix(shape: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of a tensor."""
    return (shape[0], prod(shape[1:])) if len(shape) > 1 else (1, prod(shape))


def code_map(piece: Piece, positions: Numbers, count: int, flagged: int, flags: tuple[Numbers, Numbers]) -> Numbers:
    """Code which `count` places are kept.

    Args:
        piece: the stream.
        positions: ascending; not looked at when reading.
        count: how many there are, neither none nor all.
        flagged: whether `flags` are coded: ROWS, COLUMNS, both or none.
        flags: 1 for each row that holds a kept place, and for each column; ones where they are not coded.
    """
    rows, columns = (
        _flags(piece, own) if flagged & which else own for which, own in zip((ROWS, COLUMNS), flags, strict=True)
    )
    rows, columns = np.flatnonzero(rows), np.flatnonzero(columns)
    if len(rows) * len(columns) < count:
        raise UserError("a coded map has no room for its places")
    places = piece.on.bulk(np.append(np.full(count, -1) if piece.reading else positions, -1))
    tables = density.plan(piece.on, rows, columns, piece.width, piece.lag, count)
    odds = piece.on.numbers(np.array(density.odds(count, len(rows) * len(columns))))
    seen = piece.on.numbers(np.full(len(odds), PRIOR))
    hits = piece.on.numbers(np.zeros(piece.width, dtype=np.int64))
    if piece.run(kernels.code_map, places, tables, odds, seen, hits, piece.blank()) != count:
        raise UserError("a coded map is cut or damaged")
    return np.asarray(places, dtype=np.int64)[:-1]


def _flags(piece: Piece, flags: Numbers) -> Numbers:
    coded = piece.on.numbers(flags)
    piece.run(kernels.code_flags, coded, *piece.contexts(4))
    return np.asarray(coded, dtype=np.int64)


def code_values(piece: Piece, values: Numbers, places: Numbers | None, largest: int) -> Numbers:
    """Code signed numbers other than 0 that lie at `places` (None: everywhere); zeros when reading."""
    coded, at = piece.on.bulk(values), _at(piece, places, len(values))
    rows = piece.blank(), piece.blank(), piece.blank()
    piece.run(kernels.code_values, coded, at, piece.width, piece.lag, largest, *piece.contexts(kernels.NODES), *rows)
    found = np.asarray(coded, dtype=np.int64)
    if len(found) and int(np.abs(found).max()) > largest:
        raise UserError(f"a number lies outside of -{largest}..{largest}")
    return found


def code_ids(piece: Piece, ids: Numbers, places: Numbers | None, size: int) -> Numbers:
    """Code numbers of 0..size - 1 that lie at `places` (None: everywhere); zeros when reading."""
    depth = (size - 1).bit_length()
    coded, at = piece.on.bulk(ids), _at(piece, places, len(ids))
    contexts = piece.contexts(kernels.IDS + (1 << depth))
    piece.run(kernels.code_ids, coded, at, piece.width, piece.lag, depth, size, *contexts, piece.blank(), piece.blank())
    return np.asarray(coded, dtype=np.int64)


def _at(piece: Piece, places: Numbers | None, count: int) -> Any:
    return piece.on.upto(count) if places is None else piece.on.bulk(places)
