"""LZMA2 (liblzma, what `xz` uses) over the plain bytes of all numbers: the control that a coder has to beat.

A piece is the number of its bytes (varint) and a raw stream, or 0 and the bytes as they are where that is no longer: no
container, no check. The same liblzma gives the same bytes; any reads them.
"""

import lzma
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from convarium.coding import position_gaps
from convarium.coding.coder import Coder, Numbers, Places
from convarium.coding.varint import decode_varint, encode_varint
from convarium.errors import UserError

DICTIONARY_BYTES = 1 << 22
GAP_BITS = 8


class XzCoder(Coder):
    """Values as they are, whole numbers in one, two or four bytes, positions as gaps of a byte."""

    codes_values = True

    def encode_values(self, values: bytes, item_bytes: int, places: Places | None) -> bytes:
        """Compress the bytes of values."""
        packed = lzma.compress(values, format=lzma.FORMAT_RAW, filters=[_build_lzma_filter(item_bytes)])
        return encode_varint(len(packed)) + packed if len(packed) < len(values) else b"\0" + values

    def decode_values(self, data: memoryview, size: int, item_bytes: int, places: Places | None) -> tuple[bytes, int]:
        """Read `size` bytes of values."""
        length, begin = decode_varint(data)
        if not length:
            values, used = super().decode_values(data[begin:], size, item_bytes, places)
            return values, begin + used
        if length > len(data) - begin:
            raise UserError("data ends too early")
        stream = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[_build_lzma_filter(item_bytes)])
        try:
            values = stream.decompress(data[begin : begin + length], max_length=size + 1)
        except lzma.LZMAError:
            raise UserError("data is no LZMA2 stream") from None
        if len(values) != size or not stream.eof or stream.unused_data:
            raise UserError("an LZMA2 stream has another length")
        return values, begin + length

    def encode_symbols(self, symbols: Numbers, size: int, places: Places | None) -> bytes:
        """Write whole numbers of 0..size - 1."""
        kind = _select_symbol_dtype(size)
        return self.encode_values(symbols.astype(kind).tobytes(), kind.itemsize, places)

    def decode_symbols(self, data: memoryview, count: int, size: int, places: Places | None) -> tuple[Numbers, int]:
        """Read `count` whole numbers of 0..size - 1."""
        kind = _select_symbol_dtype(size)
        raw, used = self.decode_values(data, count * kind.itemsize, kind.itemsize, places)
        symbols = np.frombuffer(raw, dtype=kind)
        if count and int(symbols.max()) >= size:
            raise UserError(f"a number lies outside of 0..{size - 1}")
        return symbols, used

    def encode_positions(self, positions: Numbers, shape: Sequence[int]) -> bytes:
        """Write the number of skips and the gaps."""
        if not len(positions):
            return b""
        symbols = position_gaps.encode_gaps(positions, GAP_BITS)
        return encode_varint(len(symbols) - len(positions)) + self.encode_symbols(symbols, 1 << GAP_BITS, None)

    def decode_positions(self, data: memoryview, count: int, shape: Sequence[int]) -> tuple[Numbers, int]:
        """Read `count` ascending positions in a tensor of `shape`, as int64."""
        if not count:
            return np.zeros(0, dtype=np.int64), 0
        skips, begin = decode_varint(data)
        if skips * ((1 << GAP_BITS) - 1) > prod(shape):
            raise UserError("positions lie outside of their tensor")
        symbols, used = self.decode_symbols(data[begin:], count + skips, 1 << GAP_BITS, None)
        return position_gaps.decode_gaps(symbols, GAP_BITS, count, prod(shape)), begin + used


def _build_lzma_filter(item_bytes: int) -> dict[str, int]:
    """The one filter; numbers of several bytes are told apart by their place."""
    place = min(2, item_bytes.bit_length() - 1)
    strength = {"preset": 9 | lzma.PRESET_EXTREME, "dict_size": DICTIONARY_BYTES}
    return {"id": lzma.FILTER_LZMA2, "lc": 0, "lp": place, "pb": place, **strength}


def _select_symbol_dtype(size: int) -> np.dtype[Any]:
    return np.dtype("u1" if size <= 1 << 8 else "<u2" if size <= 1 << 16 else "<u4")
