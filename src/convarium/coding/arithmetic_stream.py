"""A stream of the arithmetic coder over one tensor: the same functions write and read it."""

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
INITIAL_BIT_COUNT = 12  # of a map's contexts: their estimated first probabilities count as so many bits seen
BUFFER_MARGIN_BYTES = 16
FLAGGED_ROWS, FLAGGED_COLUMNS = 1, 2


class ArithmeticStream:
    """A stream over a tensor, seen as a matrix: its first dimension counts rows; a vector is one row."""

    def __init__(self, shape: Sequence[int], lag: int, data: memoryview | None, max_coded_bits: int) -> None:
        """Begin to read `data`, or to write if it is None; at most `max_coded_bits` bits are coded.

        Raises:
            UserError: the tensor has more than 2**27 values, or rows shorter than `lag`.
        """
        if prod(shape) > MAX_TENSOR_VALUES:
            raise UserError(f"coder arithmetic takes tensors of at most {MAX_TENSOR_VALUES} values")
        self.rows, self.width = flatten_to_matrix_shape(shape)
        if lag > self.width:
            raise UserError("a coded stream looks back over more than a row")
        self.lag = lag or self.width + 1  # without a lag: farther than any column, where all slots are blank
        self.is_reading = data is not None
        self.backend = select_backend(prod(shape))
        # A probability is at least 2**-11, so that a bit takes 12 bits at most.
        size = max_coded_bits * 3 // 2 + BUFFER_MARGIN_BYTES
        if data is None:
            self.data = self.backend.allocate_bytes(size)
        else:
            self.data = self.backend.make_readable_bytes(data[:size])
        self.state = self.backend.make_numbers(np.zeros(5, dtype=np.int64))
        start_stream(self.state, self.data, int(self.is_reading))

    def run_kernel(self, kernel: Callable[..., Any], *arguments: Any) -> Any:
        """Run a kernel on this stream."""
        return self.backend.call_kernel(kernel, self.state, self.data, *arguments)

    def make_contexts(self, count: int) -> tuple[Any, Any]:
        """Return the probability of a one in each context, all even, and how many bits each has seen."""
        probabilities = self.backend.make_numbers(np.full(count, PROBABILITY_ONE // 2))
        bit_counts = self.backend.make_numbers(np.ones(count, dtype=np.int64))
        return probabilities, bit_counts

    def make_blank_row(self) -> Any:
        """Return a blank row of neighbours."""
        return density_contexts.build_blank_row(self.backend, self.width, self.lag)

    def finish(self) -> bytes:
        """Return the bytes of a written stream."""
        return bytes(self.data[: self.state[NEXT_BYTE]]) + self._compute_tail()

    def count_used_bytes(self) -> int:
        """Return how many bytes a stream took that was read to its end.

        Raises:
            UserError: it doesn't end as a written one does.
        """
        # The decoder is four bytes ahead; the encoder wrote the fewest that settle the last bits.
        start = int(self.state[NEXT_BYTE]) - 4
        tail = self._compute_tail()
        end = start + len(tail)
        if end > len(self.data) or bytes(self.data[start:end]) != tail:
            raise UserError("a coded stream is cut or damaged")
        return end

    def _compute_tail(self) -> bytes:
        return compute_stream_tail(int(self.state[LOW]), int(self.state[HIGH]))


def flatten_to_matrix_shape(shape: Sequence[int]) -> tuple[int, int]:
    """Return the rows and columns of a tensor seen as a matrix; a vector is one row."""
    if len(shape) > 1:
        return shape[0], prod(shape[1:])
    return 1, prod(shape)


def code_map(
    stream: ArithmeticStream, positions: Numbers, count: int, flagged_lines: int, flags: tuple[Numbers, Numbers]
) -> Numbers:
    """Code which `count` places are kept; return their positions.

    Args:
        stream: to be written or read.
        positions: ascending flat positions; ignored when reading.
        count: how many places are kept, neither none nor all.
        flagged_lines: which of `flags` are coded: FLAGGED_ROWS, FLAGGED_COLUMNS, both or none.
        flags: 1 for each row with a kept place, and for each column; all ones where they are not coded.

    Raises:
        UserError: the stream is damaged.
    """
    row_flags, column_flags = flags
    if flagged_lines & FLAGGED_ROWS:
        row_flags = _code_flags(stream, row_flags)
    if flagged_lines & FLAGGED_COLUMNS:
        column_flags = _code_flags(stream, column_flags)
    rows = np.flatnonzero(row_flags)
    columns = np.flatnonzero(column_flags)
    cells = len(rows) * len(columns)
    if cells < count:
        raise UserError("a coded map has no room for its places")
    if stream.is_reading:
        positions = np.full(count, -1)
    backend = stream.backend
    coded_positions = backend.make_bulk_numbers(np.append(positions, -1))  # the kernel needs a stop
    tables = density_contexts.build_map_tables(backend, rows, columns, stream.width, stream.lag, count)
    initial_probabilities = np.array(density_contexts.estimate_initial_probabilities(count, cells))
    coded_count = stream.run_kernel(
        coding_kernels.code_map_bits,
        coded_positions,
        tables,
        backend.make_numbers(initial_probabilities),
        backend.make_numbers(np.full(len(initial_probabilities), INITIAL_BIT_COUNT)),
        backend.make_numbers(np.zeros(stream.width, dtype=np.int64)),
        stream.make_blank_row(),
    )
    if coded_count != count:
        raise UserError("a coded map is cut or damaged")
    return np.asarray(coded_positions, dtype=np.int64)[:-1]


def _code_flags(stream: ArithmeticStream, flags: Numbers) -> Numbers:
    coded_flags = stream.backend.make_numbers(flags)
    stream.run_kernel(coding_kernels.code_flag_bits, coded_flags, *stream.make_contexts(4))
    return np.asarray(coded_flags, dtype=np.int64)


def code_values(stream: ArithmeticStream, values: Numbers, positions: Numbers | None, largest: int) -> Numbers:
    """Code signed numbers other than 0 at `positions` (None: everywhere) and return them.

    When reading, `values` gives only their number.

    Raises:
        UserError: a number that was read is larger than `largest`.
    """
    coded_values = stream.backend.make_bulk_numbers(values)
    stream.run_kernel(
        coding_kernels.code_value_bits,
        coded_values,
        _prepare_positions(stream, positions, len(values)),
        stream.width,
        stream.lag,
        largest,
        *stream.make_contexts(coding_kernels.VALUE_CONTEXTS),
        stream.make_blank_row(),
        stream.make_blank_row(),
        stream.make_blank_row(),
    )
    numbers = np.asarray(coded_values, dtype=np.int64)
    if len(numbers) and int(np.abs(numbers).max()) > largest:
        raise UserError(f"a number lies outside of -{largest}..{largest}")
    return numbers


def code_ids(stream: ArithmeticStream, ids: Numbers, positions: Numbers | None, size: int) -> Numbers:
    """Code numbers of 0..size - 1 at `positions` (None: everywhere) and return them.

    When reading, `ids` gives only their number.
    """
    depth = (size - 1).bit_length()
    coded_ids = stream.backend.make_bulk_numbers(ids)
    stream.run_kernel(
        coding_kernels.code_id_bits,
        coded_ids,
        _prepare_positions(stream, positions, len(ids)),
        stream.width,
        stream.lag,
        depth,
        size,
        *stream.make_contexts(coding_kernels.FIRST_ID_CONTEXT + (1 << depth)),
        stream.make_blank_row(),
        stream.make_blank_row(),
    )
    return np.asarray(coded_ids, dtype=np.int64)


def _prepare_positions(stream: ArithmeticStream, positions: Numbers | None, count: int) -> Any:
    if positions is None:
        return stream.backend.make_range(count)
    return stream.backend.make_bulk_numbers(positions)
