"""The bytes of a site: written and read one call after the other, and counted by kind."""

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
    """Return the coder of this name; an outside coder's name is its import path, "package.module:instance".

    Raises:
        UserError: there is no such coder, or its package is not allowed (`convarium.lookup.allow_packages`).
    """
    if isinstance(name, str) and ":" in name:
        outside_coder = find_allowed("coders", name)
        if not isinstance(outside_coder, Coder):
            raise UserError(f"{name} is not a convarium.coding.coder.Coder")
        return outside_coder
    if not isinstance(name, str) or name not in CODERS:
        raise UserError(f"no coder is called {str(name)[:40]!r}; there are {', '.join(CODERS)}")
    return CODERS[name]


class _SiteStream:
    """Base of writer and reader: the coder, and the last positions; as many numbers are taken to lie at them."""

    def __init__(self, coder: str = DEFAULT_CODER) -> None:
        self.coder = find_coder(coder)
        self._last_positions: Places | None = None
        self._last_position_count = 0

    def _find_places(self, count: int) -> Places | None:
        return self._last_positions if self._last_position_count == count else None

    def _remember_positions(self, positions: np.ndarray[Any, Any], shape: Sequence[int]) -> None:
        self._last_positions = Places(positions, shape)
        self._last_position_count = len(positions)


class SiteWriter(_SiteStream):
    """Collects the bytes of one site.

    The kind (one of `container.BYTE_KINDS`) counts only when reading; it is given here so that both sides read alike.
    """

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
        """Write ascending flat positions in a tensor of `shape`.

        As many values, symbols or integers as these, written later, are taken to lie at them.
        """
        array = _convert_to_array(positions).astype(np.int64)
        self._remember_positions(array, shape)
        self.data += self.coder.encode_positions(array, shape)

    def write_integers(self, _kind: str, values: Tensor, largest: int, zeros: bool) -> None:
        """Write signed whole numbers of -largest..largest in the order of their tensor; without `zeros` none is 0.

        Raises:
            ValueError: a number outside of this range, or a `largest` outside of 0..32,767 (1..32,767 without zeros).
        """
        array = _convert_to_array(values).astype(np.int64)
        is_range_valid = 1 - zeros <= largest <= MAX_INTEGER
        has_forbidden_zero = not zeros and not array.all()
        if not is_range_valid or has_forbidden_zero or (np.abs(array) > largest).any():
            condition = "" if zeros else " and not be 0"
            raise ValueError(f"whole numbers must lie in -{largest}..{largest}{condition}")
        self.data += self.coder.encode_integers(array, largest, zeros, self._find_places(array.size))


def _convert_to_array(tensor: Tensor) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = tensor.detach().cpu().contiguous().numpy()
    return array


class SiteReader(_SiteStream):
    """Takes the bytes of one site from the start of `data`; each read checks its size before it takes memory."""

    def __init__(self, data: memoryview, coder: str = DEFAULT_CODER) -> None:
        super().__init__(coder)
        self.data = data
        self.bytes_by_kind: Counter[str] = Counter()

    def _consume_bytes(self, kind: str, size: int) -> None:
        self.data = self.data[size:]
        self.bytes_by_kind[kind] += size

    def read_values(self, kind: str, count: int, dtype: torch.dtype) -> Tensor:
        """Read `count` values."""
        stored_dtype = np.dtype(STORED_DTYPES[dtype])
        item_bytes = stored_dtype.itemsize
        values, used = self.coder.decode_values(self.data, count * item_bytes, item_bytes, self._find_places(count))
        self._consume_bytes(kind, used)
        raw = np.frombuffer(values, dtype=np.uint8)
        if dtype == torch.bool and (raw > 1).any():
            raise UserError("a truth value is neither 0 nor 1")
        return torch.from_numpy(raw.view(stored_dtype).astype(stored_dtype.newbyteorder("=")))

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
