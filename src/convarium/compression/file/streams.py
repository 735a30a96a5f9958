"""A site's bytes, written and read piece by piece and counted by kind."""

from collections import Counter
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convarium.compression.file import bits, gaps, huffman
from convarium.compression.file.varint import read_varint, varint
from convarium.errors import UserError

CODERS: dict[str, ModuleType] = {"fixed": bits, "huffman": huffman}
FIXED = "fixed"
TYPES: dict[torch.dtype, str] = {
    torch.float32: "<f4",
    torch.int64: "<i8",
    torch.int32: "<i4",
    torch.uint8: "|u1",
    torch.bool: "|b1",
}


def coder_module(name: Any) -> ModuleType:
    """Return the coder of a name.

    Raises:
        UserError: there is none.
    """
    if not isinstance(name, str) or name not in CODERS:
        raise UserError(f"no coder is called {str(name)[:40]!r}; there are {', '.join(CODERS)}")
    return CODERS[name]


class Writer:
    """Collects the bytes of one site; whole numbers go through its coder."""

    def __init__(self, coder: str = FIXED) -> None:
        self.data = bytearray()
        self.coder = coder_module(coder)

    def values(self, _kind: str, tensor: Tensor) -> None:
        """Write values as they are, little-endian."""
        if tensor.dtype not in TYPES:
            raise UserError(f"a file can't hold values of type {tensor.dtype}")
        self.data += tensor.detach().cpu().contiguous().numpy().astype(TYPES[tensor.dtype]).tobytes()

    def symbols(self, _kind: str, symbols: Tensor, size: int) -> None:
        """Write whole numbers of 0..size - 1."""
        self.data += self.coder.encode(symbols.detach().cpu().numpy(), (size - 1).bit_length())

    def positions(self, _kind: str, positions: Tensor) -> None:
        """Write ascending positions, with the gap width that takes the fewest bytes."""
        array = positions.detach().cpu().numpy().astype(np.int64)
        if not len(array):
            return
        width = min(_widths(array), key=lambda width: self.coder.size(gaps.histogram(array, width), width))
        symbols = gaps.to_symbols(array, width)
        self.data += varint(width) + varint(len(symbols) - len(array)) + self.coder.encode(symbols, width)


def _widths(positions: np.ndarray[Any, Any]) -> range:
    widest = int(np.diff(positions, prepend=-1).max()).bit_length()
    return range(1, min(widest, gaps.WIDEST) + 1)


class Reader:
    """Takes the bytes of one site apart; every read is bounded by what is there, before memory is taken."""

    def __init__(self, data: memoryview, coder: str = FIXED) -> None:
        self.data = data
        self.coder = coder_module(coder)
        self.bytes: Counter[str] = Counter()

    def _take(self, kind: str, size: int) -> memoryview:
        if size > len(self.data):
            raise UserError("data ends too early")
        taken, self.data = self.data[:size], self.data[size:]
        self.bytes[kind] += size
        return taken

    def _number(self, kind: str) -> int:
        number, used = read_varint(self.data)
        self._take(kind, used)
        return number

    def values(self, kind: str, count: int, dtype: torch.dtype) -> Tensor:
        """Read `count` values."""
        source = np.dtype(TYPES[dtype])
        raw = np.frombuffer(self._take(kind, count * source.itemsize), dtype=np.uint8)
        if dtype == torch.bool and (raw > 1).any():
            raise UserError("a truth value is neither 0 nor 1")
        return torch.from_numpy(raw.view(source).astype(source.newbyteorder("=")))

    def symbols(self, kind: str, count: int, size: int) -> Tensor:
        """Read `count` whole numbers of 0..size - 1, as int32."""
        symbols = self._coded(kind, count, (size - 1).bit_length())
        if len(symbols) and int(symbols.max()) >= size:
            raise UserError(f"a number lies outside of 0..{size - 1}")
        return torch.from_numpy(symbols.astype(np.int32))

    def positions(self, kind: str, count: int, size: int) -> Tensor:
        """Read `count` ascending positions in 0..size - 1, as int64."""
        if not count:
            return torch.zeros(0, dtype=torch.int64)
        width, skips = self._number(kind), self._number(kind)
        if not 1 <= width <= gaps.WIDEST or skips * ((1 << width) - 1) > size:
            raise UserError("positions lie outside of their tensor")
        symbols = self._coded(kind, count + skips, width)
        return torch.from_numpy(gaps.to_positions(symbols, width, count, size))

    def _coded(self, kind: str, count: int, width: int) -> np.ndarray[Any, Any]:
        symbols, used = self.coder.decode(self.data, count, width)
        self._take(kind, used)
        decoded: np.ndarray[Any, Any] = symbols
        return decoded
