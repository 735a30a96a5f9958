"""A site's bytes, written and read piece by piece and counted by kind."""

from collections import Counter
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convarium.coding import fixed_width, huffman
from convarium.coding.arithmetic_coder import ArithmeticCoder
from convarium.coding.coder import MAX_INTEGER, Coder, Places
from convarium.coding.symbolwise_coder import SymbolwiseCoder
from convarium.coding.xz_coder import XzCoder
from convarium.errors import UserError
from convarium.lookup import find_allowed

CODERS: dict[str, Coder] = {
    "fixed": SymbolwiseCoder(fixed_width),
    "huffman": SymbolwiseCoder(huffman),
    "arithmetic": ArithmeticCoder(),
    "xz": XzCoder(),
}
DEFAULT_CODER = "fixed"
STORED_DTYPES: dict[torch.dtype, str] = {
    torch.float32: "<f4",
    torch.int64: "<i8",
    torch.int32: "<i4",
    torch.uint8: "|u1",
    torch.bool: "|b1",
}


def find_coder(name: Any) -> Coder:
    """Return the coder of a name; an outside one's is its import path, "package.module:instance".

    Raises:
        UserError: there is none, or its package is not allowed (`convarium.lookup.allow_packages`).
    """
    if isinstance(name, str) and ":" in name:
        return _find_outside_coder(name)
    if not isinstance(name, str) or name not in CODERS:
        raise UserError(f"no coder is called {str(name)[:40]!r}; there are {', '.join(CODERS)}")
    return CODERS[name]


def _find_outside_coder(name: str) -> Coder:
    found = find_allowed("coders", name)
    if not isinstance(found, Coder):
        raise UserError(f"{name} is not a convarium.coding.coder.Coder")
    return found


class _SiteStream:
    """What writer and reader share: the coder, and where the last positions lie, for the numbers that go there."""

    def __init__(self, coder: str = DEFAULT_CODER) -> None:
        self.coder = find_coder(coder)
        self._last_positions: Places | None = None
        self._last_position_count = 0

    def _find_places(self, count: int) -> Places | None:
        return self._last_positions if self._last_positions is not None and self._last_position_count == count else None

    def _remember_positions(self, positions: np.ndarray[Any, Any], shape: Sequence[int]) -> None:
        self._last_positions, self._last_position_count = Places(positions, shape), len(positions)


class SiteWriter(_SiteStream):
    """Collects the bytes of one site, which its coder makes."""

    def __init__(self, coder: str = DEFAULT_CODER) -> None:
        super().__init__(coder)
        self.data = bytearray()

    def write_values(self, _kind: str, tensor: Tensor) -> None:
        """Write values, little-endian."""
        if tensor.dtype not in STORED_DTYPES:
            raise UserError(f"a file can't hold values of type {tensor.dtype}")
        array = _convert_to_array(tensor).astype(STORED_DTYPES[tensor.dtype])
        self.data += self.coder.encode_values(array.tobytes(), array.itemsize, self._find_places(array.size))

    def write_symbols(self, _kind: str, symbols: Tensor, size: int) -> None:
        """Write whole numbers of 0..size - 1."""
        array = _convert_to_array(symbols)
        self.data += self.coder.encode_symbols(array, size, self._find_places(array.size))

    def write_positions(self, _kind: str, positions: Tensor, shape: Sequence[int]) -> None:
        """Write ascending flat positions in a tensor of `shape` (a row per output).

        As many symbols or integers as these, written later, are those that lie there.
        """
        array = _convert_to_array(positions).astype(np.int64)
        self._remember_positions(array, shape)
        self.data += self.coder.encode_positions(array, shape)

    def write_integers(self, _kind: str, values: Tensor, largest: int, zeros: bool) -> None:
        """Write signed whole numbers of -largest..largest in the order of their tensor; `zeros=False`: none is 0.

        Raises:
            ValueError: a number outside of this range, or a range outside of 0..32,767 (1..32,767 without zeros).
        """
        array = _convert_to_array(values).astype(np.int64)
        if not 1 - zeros <= largest <= MAX_INTEGER or (np.abs(array) > largest).any() or not (zeros or array.all()):
            raise ValueError(f"whole numbers must lie in -{largest}..{largest}{'' if zeros else ' and not be 0'}")
        self.data += self.coder.encode_integers(array, largest, zeros, self._find_places(array.size))


def _convert_to_array(tensor: Tensor) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = tensor.detach().cpu().contiguous().numpy()
    return array


class SiteReader(_SiteStream):
    """Takes the bytes of one site from the start of `data`; every read is bounded before memory is taken."""

    def __init__(self, data: memoryview, coder: str = DEFAULT_CODER) -> None:
        super().__init__(coder)
        self.data = data
        self.bytes_by_kind: Counter[str] = Counter()

    def _consume_bytes(self, kind: str, size: int) -> None:
        self.data = self.data[size:]
        self.bytes_by_kind[kind] += size

    def read_values(self, kind: str, count: int, dtype: torch.dtype) -> Tensor:
        """Read `count` values."""
        source = np.dtype(STORED_DTYPES[dtype])
        size, item = count * source.itemsize, source.itemsize
        values, used = self.coder.decode_values(self.data, size, item, self._find_places(count))
        self._consume_bytes(kind, used)
        raw = np.frombuffer(values, dtype=np.uint8)
        if dtype == torch.bool and (raw > 1).any():
            raise UserError("a truth value is neither 0 nor 1")
        return torch.from_numpy(raw.view(source).astype(source.newbyteorder("=")))

    def read_symbols(self, kind: str, count: int, size: int) -> Tensor:
        """Read `count` whole numbers of 0..size - 1, as int32."""
        symbols, used = self.coder.decode_symbols(self.data, count, size, self._find_places(count))
        self._consume_bytes(kind, used)
        return torch.from_numpy(symbols.astype(np.int32))

    def read_positions(self, kind: str, count: int, shape: Sequence[int]) -> Tensor:
        """Read `count` ascending flat positions in a tensor of `shape`, as int64."""
        positions, used = self.coder.decode_positions(self.data, count, shape)
        self._consume_bytes(kind, used)
        self._remember_positions(positions, shape)
        return torch.from_numpy(positions)

    def read_integers(self, kind: str, shape: Sequence[int], largest: int, zeros: bool) -> Tensor:
        """Read signed whole numbers of -largest..largest (not 0 without `zeros`) of `shape`, as int32."""
        values, used = self.coder.decode_integers(self.data, shape, largest, zeros, self._find_places(prod(shape)))
        self._consume_bytes(kind, used)
        return torch.from_numpy(values.astype(np.int32))
