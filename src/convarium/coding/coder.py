"""The base class of coders, which turn the numbers of a site into bytes and back.

A coder must code symbols and positions; values and signed whole numbers have an implementation here.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convarium.errors import UserError

Numbers = NDArray[Any]
MAX_INTEGER = 32_767  # with its sign, a whole number takes 16 bits at most


class Places(NamedTuple):
    """Where numbers lie in a tensor: ascending flat positions (None: all). Neighbours help to predict a number."""

    positions: Numbers | None
    shape: Sequence[int]


class Coder(ABC):
    """Writes numbers as bytes and reads them again.

    Each `decode_…` takes its numbers from the start of `data` and also returns how many bytes they took. It raises
    `UserError` where `data` ends too early or is not what its `encode_…` writes; its memory and time are bounded by the
    numbers asked for.
    """

    codes_values = False
    """Whether plain tensors may name this coder too."""

    def encode_values(self, values: bytes, item_bytes: int, places: Places | None) -> bytes:
        """Return the code of values of `item_bytes` bytes each; here these bytes themselves."""
        return values

    def decode_values(self, data: memoryview, size: int, item_bytes: int, places: Places | None) -> tuple[bytes, int]:
        """Read `size` bytes of values of `item_bytes` bytes each."""
        if size > len(data):
            raise UserError("data ends too early")
        return bytes(data[:size]), size

    @abstractmethod
    def encode_symbols(self, symbols: Numbers, size: int, places: Places | None) -> bytes:
        """Write whole numbers of 0..size - 1."""

    @abstractmethod
    def decode_symbols(self, data: memoryview, count: int, size: int, places: Places | None) -> tuple[Numbers, int]:
        """Read `count` whole numbers of 0..size - 1."""

    @abstractmethod
    def encode_positions(self, positions: Numbers, shape: Sequence[int]) -> bytes:
        """Write ascending flat positions in a tensor of `shape`."""

    @abstractmethod
    def decode_positions(self, data: memoryview, count: int, shape: Sequence[int]) -> tuple[Numbers, int]:
        """Read `count` ascending positions in a tensor of `shape`, as int64."""

    def encode_integers(self, values: Numbers, largest: int, zeros: bool, places: Places | None) -> bytes:
        """Write signed whole numbers of -largest..largest, of any shape; without `zeros` none of them is 0."""
        if not values.size:
            return b""
        symbols = values.ravel() + largest
        if not zeros:
            symbols -= values.ravel() > 0  # closes the gap that 0 would take
        return self.encode_symbols(symbols, _count_alphabet_symbols(largest, zeros), places)

    def decode_integers(
        self, data: memoryview, shape: Sequence[int], largest: int, zeros: bool, places: Places | None
    ) -> tuple[Numbers, int]:
        """Read a tensor of `shape`, as int64."""
        if not prod(shape):
            return np.zeros(shape, dtype=np.int64), 0
        alphabet_size = _count_alphabet_symbols(largest, zeros)
        symbols, used = self.decode_symbols(data, prod(shape), alphabet_size, places)
        values = symbols.astype(np.int64) - largest
        if not zeros:
            values += values >= 0
        return values.reshape(shape), used


def _count_alphabet_symbols(largest: int, zeros: bool) -> int:
    return 2 * largest + zeros
