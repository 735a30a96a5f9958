"""One stream of the arithmetic coder over one tensor, made or read: the same functions do both."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from convarium.coding import coding_kernels, density_contexts
from convarium.coding.coder import Numbers
from convarium.coding.kernel_backend import select_backend
from convarium.coding.range_coder import (
    HIGH,
    LOW,
    NEXT_BYTE,
    PROBABILITY_ONE,
    compute_stream_tail,
    start_stream,
)
from convarium.errors import UserError

MAX_TENSOR_VALUES = 1 << 27
INITIAL_BIT_COUNT = 12
FLAGGED_ROWS, FLAGGED_COLUMNS = 1, 2


class ArithmeticStream:
    """A stream over a tensor of `shape`, seen as rows: its first size, the rest are columns; a vector is one row."""

    def __init__(self, shape: Sequence[int], lag: int, data: memoryview | None, max_coded_bits: int) -> None:
        """Begin to read `data`, or, if it is None, to make a stream, of at most `max_coded_bits` coded bits.

        Raises:
            UserError: the tensor has more than 2**27 values, or rows shorter than `lag`.
        """
        if prod(shape) > MAX_TENSOR_VALUES:
            raise UserError(f"coder arithmetic takes tensors of at most {MAX_TENSOR_VALUES} values")
        self.rows, self.width = flatten_to_matrix_shape(shape)
        if lag > self.width:
            raise UserError("a coded stream looks back over more than a row")
        self.lag = lag or self.width + 1
        self.is_reading = data is not None
        self.backend = select_backend(prod(shape))
        size = max_coded_bits * 3 // 2 + 16  # twelve bits each
        self.data = self.backend.allocate_bytes(size) if data is None else self.backend.make_readable_bytes(data[:size])
        self.state = self.backend.make_numbers(np.zeros(5, dtype=np.int64))
        start_stream(self.state, self.data, int(self.is_reading))

    def run_kernel(self, kernel: Callable[..., Any], *given: Any) -> Any:
        """Run a kernel on this stream."""
        return self.backend.call_kernel(kernel, self.state, self.data, *given)

    def make_contexts(self, count: int) -> tuple[Any, Any]:
        """Even probabilities, and how often each was seen."""
        return self.backend.make_numbers(np.full(count, PROBABILITY_ONE // 2)), self.backend.make_numbers(
            np.ones(count, dtype=np.int64)
        )

    def make_blank_row(self) -> Any:
        """A row of neighbours."""
        return density_contexts.build_blank_row(self.backend, self.width, self.lag)

    def finish(self) -> bytes:
        """The bytes of a stream that was made."""
        return bytes(self.data[: self.state[NEXT_BYTE]]) + self._compute_tail()

    def count_used_bytes(self) -> int:
        """How many bytes a stream that was read took.

        Raises:
            UserError: it does not end as one that was made.
        """
        place, last = int(self.state[NEXT_BYTE]) - 4, self._compute_tail()
        end = place + len(last)
        if end > len(self.data) or bytes(self.data[place:end]) != last:
            raise UserError("a coded stream is cut or damaged")
        return end

    def _compute_tail(self) -> bytes:
        return compute_stream_tail(int(self.state[LOW]), int(self.state[HIGH]))


def flatten_to_matrix_shape(shape: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of a tensor."""
    return (shape[0], prod(shape[1:])) if len(shape) > 1 else (1, prod(shape))


def code_map(
    piece: ArithmeticStream, positions: Numbers, count: int, flagged_lines: int, flags: tuple[Numbers, Numbers]
) -> Numbers:
    """Code which `count` places are kept.

    Args:
        piece: the stream.
        positions: ascending; not looked at when reading.
        count: how many there are, neither none nor all.
        flagged_lines: whether `flags` are coded: FLAGGED_ROWS, FLAGGED_COLUMNS, both or none.
        flags: 1 for each row that holds a kept place, and for each column; ones where they are not coded.
    """
    rows, columns = (
        _code_flags(piece, own) if flagged_lines & which else own
        for which, own in zip((FLAGGED_ROWS, FLAGGED_COLUMNS), flags, strict=True)
    )
    rows, columns = np.flatnonzero(rows), np.flatnonzero(columns)
    if len(rows) * len(columns) < count:
        raise UserError("a coded map has no room for its places")
    places = piece.backend.make_bulk_numbers(np.append(np.full(count, -1) if piece.is_reading else positions, -1))
    tables = density_contexts.build_map_tables(piece.backend, rows, columns, piece.width, piece.lag, count)
    odds = piece.backend.make_numbers(np.array(density_contexts.estimate_initial_odds(count, len(rows) * len(columns))))
    seen = piece.backend.make_numbers(np.full(len(odds), INITIAL_BIT_COUNT))
    hits = piece.backend.make_numbers(np.zeros(piece.width, dtype=np.int64))
    if (
        piece.run_kernel(coding_kernels.code_map_bits, places, tables, odds, seen, hits, piece.make_blank_row())
        != count
    ):
        raise UserError("a coded map is cut or damaged")
    return np.asarray(places, dtype=np.int64)[:-1]


def _code_flags(piece: ArithmeticStream, flags: Numbers) -> Numbers:
    coded = piece.backend.make_numbers(flags)
    piece.run_kernel(coding_kernels.code_flag_bits, coded, *piece.make_contexts(4))
    return np.asarray(coded, dtype=np.int64)


def code_values(piece: ArithmeticStream, values: Numbers, places: Numbers | None, largest: int) -> Numbers:
    """Code signed numbers other than 0 that lie at `places` (None: everywhere); zeros when reading."""
    coded, at = piece.backend.make_bulk_numbers(values), _prepare_places(piece, places, len(values))
    rows = piece.make_blank_row(), piece.make_blank_row(), piece.make_blank_row()
    piece.run_kernel(
        coding_kernels.code_value_bits,
        coded,
        at,
        piece.width,
        piece.lag,
        largest,
        *piece.make_contexts(coding_kernels.VALUE_CONTEXTS),
        *rows,
    )
    found = np.asarray(coded, dtype=np.int64)
    if len(found) and int(np.abs(found).max()) > largest:
        raise UserError(f"a number lies outside of -{largest}..{largest}")
    return found


def code_ids(piece: ArithmeticStream, ids: Numbers, places: Numbers | None, size: int) -> Numbers:
    """Code numbers of 0..size - 1 that lie at `places` (None: everywhere); zeros when reading."""
    depth = (size - 1).bit_length()
    coded, at = piece.backend.make_bulk_numbers(ids), _prepare_places(piece, places, len(ids))
    contexts = piece.make_contexts(coding_kernels.FIRST_ID_CONTEXT + (1 << depth))
    piece.run_kernel(
        coding_kernels.code_id_bits,
        coded,
        at,
        piece.width,
        piece.lag,
        depth,
        size,
        *contexts,
        piece.make_blank_row(),
        piece.make_blank_row(),
    )
    return np.asarray(coded, dtype=np.int64)


def _prepare_places(piece: ArithmeticStream, places: Numbers | None, count: int) -> Any:
    return piece.backend.make_range(count) if places is None else piece.backend.make_bulk_numbers(places)
