"""Coders of single symbols (fixed width, Huffman): positions are stored as gaps (`position_gaps`)."""

from collections.abc import Sequence
from math import prod
from typing import Protocol

import numpy as np

from convarium.coding import position_gaps
from convarium.coding.coder import Coder, Numbers, Places
from convarium.coding.varint import decode_varint, encode_varint
from convarium.errors import UserError


class SymbolCode(Protocol):
    """A code for symbols of 0..2**width - 1: the modules `fixed_width` and `huffman`."""

    def count_bytes(self, histogram: Numbers, width: int) -> int:
        """Return the bytes that symbols of this histogram take."""

    def encode(self, symbols: Numbers, width: int) -> bytes:
        """Return the code of symbols."""

    def decode(self, data: memoryview, count: int, width: int) -> tuple[Numbers, int]:
        """Decode `count` symbols; also return how many bytes they took."""


class SymbolwiseCoder(Coder):
    """Codes every number on its own, without its neighbours."""

    def __init__(self, code: SymbolCode) -> None:
        self.code = code

    def encode_symbols(self, symbols: Numbers, size: int, places: Places | None) -> bytes:
        """Write whole numbers of 0..size - 1."""
        return self.code.encode(symbols, (size - 1).bit_length())

    def decode_symbols(self, data: memoryview, count: int, size: int, places: Places | None) -> tuple[Numbers, int]:
        """Read `count` whole numbers of 0..size - 1."""
        symbols, used = self.code.decode(data, count, (size - 1).bit_length())
        if len(symbols) and int(symbols.max()) >= size:
            raise UserError(f"a number lies outside of 0..{size - 1}")
        return symbols, used

    def encode_positions(self, positions: Numbers, shape: Sequence[int]) -> bytes:
        """Write a width, the number of skips, and the gaps; the width is the one that takes the fewest bytes."""
        if not len(positions):
            return b""
        widest = int(np.diff(positions, prepend=-1).max()).bit_length()
        widths = range(1, min(widest, position_gaps.MAX_GAP_BITS) + 1)
        bytes_by_width = {}
        for width in widths:
            bytes_by_width[width] = self.code.count_bytes(position_gaps.count_gap_symbols(positions, width), width)
        best_width = min(widths, key=bytes_by_width.__getitem__)
        symbols = position_gaps.encode_gaps(positions, best_width)
        skips = len(symbols) - len(positions)
        return encode_varint(best_width) + encode_varint(skips) + self.code.encode(symbols, best_width)

    def decode_positions(self, data: memoryview, count: int, shape: Sequence[int]) -> tuple[Numbers, int]:
        """Read `count` ascending positions in a tensor of `shape`, as int64."""
        if not count:
            return np.zeros(0, dtype=np.int64), 0
        width, width_bytes = decode_varint(data)
        skips, skips_bytes = decode_varint(data[width_bytes:])
        begin = width_bytes + skips_bytes
        size = prod(shape)
        if not 1 <= width <= position_gaps.MAX_GAP_BITS or skips * ((1 << width) - 1) > size:
            raise UserError("positions lie outside of their tensor")
        symbols, used = self.code.decode(data[begin:], count + skips, width)
        return position_gaps.decode_gaps(symbols, width, count, size), begin + used
