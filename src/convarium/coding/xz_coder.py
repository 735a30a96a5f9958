"""LZMA2 (liblzma, as in `xz`) over the plain bytes of all numbers: the control that a coder has to beat.

What one call writes is the length of a raw LZMA2 stream (varint) and the stream, or 0 and the plain bytes where these
are not longer. There is no container and no checksum. Another liblzma may write other bytes, but reads these.
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
GAP_BITS = 8  # a gap is a byte, as LZMA2 looks at bytes


class XzCoder(Coder):
    """Compresses values as they are, whole numbers of one, two or four bytes, and positions as gaps of one byte."""

    codes_values = True

    def encode_values(self, values: bytes, item_bytes: int, places: Places | None) -> bytes:
        """Compress the bytes of values."""
        packed = lzma.compress(values, format=lzma.FORMAT_RAW, filters=[_build_lzma_filter(item_bytes)])
        if len(packed) < len(values):
            return encode_varint(len(packed)) + packed
        return b"\0" + values

    def decode_values(self, data: memoryview, size: int, item_bytes: int, places: Places | None) -> tuple[bytes, int]:
        """Read `size` bytes of values of `item_bytes` bytes each."""
        length, begin = decode_varint(data)
        if not length:
            values, used = super().decode_values(data[begin:], size, item_bytes, places)
            return values, begin + used
        if length > len(data) - begin:
            raise UserError("data ends too early")
        decompressor = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[_build_lzma_filter(item_bytes)])
        try:
            # One byte more than is right: a stream that is too long shows, and can't fill the memory.
            values = decompressor.decompress(data[begin : begin + length], max_length=size + 1)
        except lzma.LZMAError:
            raise UserError("data is not an LZMA2 stream") from None
        if len(values) != size or not decompressor.eof or decompressor.unused_data:
            raise UserError("an LZMA2 stream has another length")
        return values, begin + length

    def encode_symbols(self, symbols: Numbers, size: int, places: Places | None) -> bytes:
        """Write whole numbers of 0..size - 1."""
        dtype = _select_symbol_dtype(size)
        return self.encode_values(symbols.astype(dtype).tobytes(), dtype.itemsize, places)

    def decode_symbols(self, data: memoryview, count: int, size: int, places: Places | None) -> tuple[Numbers, int]:
        """Read `count` whole numbers of 0..size - 1."""
        dtype = _select_symbol_dtype(size)
        raw, used = self.decode_values(data, count * dtype.itemsize, dtype.itemsize, places)
        symbols = np.frombuffer(raw, dtype=dtype)
        if count and int(symbols.max()) >= size:
            raise UserError(f"a number lies outside of 0..{size - 1}")
        return symbols, used

    def encode_positions(self, positions: Numbers, shape: Sequence[int]) -> bytes:
        """Write the number of skips and the gaps."""
        if not len(positions):
            return b""
        symbols = position_gaps.encode_gaps(positions, GAP_BITS)
        skips = len(symbols) - len(positions)
        return encode_varint(skips) + self.encode_symbols(symbols, 1 << GAP_BITS, None)

    def decode_positions(self, data: memoryview, count: int, shape: Sequence[int]) -> tuple[Numbers, int]:
        """Read `count` ascending positions in a tensor of `shape`, as int64."""
        if not count:
            return np.zeros(0, dtype=np.int64), 0
        skips, begin = decode_varint(data)
        size = prod(shape)
        if skips * ((1 << GAP_BITS) - 1) > size:
            raise UserError("positions lie outside of their tensor")
        symbols, used = self.decode_symbols(data[begin:], count + skips, 1 << GAP_BITS, None)
        return position_gaps.decode_gaps(symbols, GAP_BITS, count, size), begin + used


def _build_lzma_filter(item_bytes: int) -> dict[str, int]:
    """Return the LZMA2 filter for numbers of so many bytes."""
    # lp and pb are the bits of a byte's position that are context: so each byte of a number has statistics of its own.
    position_bits = min(2, item_bytes.bit_length() - 1)
    return {
        "id": lzma.FILTER_LZMA2,
        "lc": 0,
        "lp": position_bits,
        "pb": position_bits,
        "preset": 9 | lzma.PRESET_EXTREME,
        "dict_size": DICTIONARY_BYTES,
    }


def _select_symbol_dtype(size: int) -> np.dtype[Any]:
    if size <= 1 << 8:
        return np.dtype("u1")
    if size <= 1 << 16:
        return np.dtype("<u2")
    return np.dtype("<u4")
