"""Whole numbers of a fixed width, packed bit by bit, highest bit first: the code of a site that names no coder."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convarium.errors import UserError

Symbols = NDArray[Any]
BLOCK_SYMBOLS = 1 << 16  # bounds memory (a bit takes a byte while it is packed); of any width, a block has whole bytes


def count_bytes(histogram: Symbols, width: int) -> int:
    """Return the bytes that symbols of this histogram take."""
    return (int(histogram.sum()) * width + 7) // 8


def encode(symbols: Symbols, width: int) -> bytes:
    """Pack symbols of 0..2**width - 1."""
    shifts = np.arange(width - 1, -1, -1, dtype=np.uint32)
    packed = bytearray()
    for start in range(0, len(symbols), BLOCK_SYMBOLS):
        block = symbols[start : start + BLOCK_SYMBOLS, None].astype(np.uint32)
        bits = (block >> shifts & 1).astype(np.uint8)
        packed += np.packbits(bits.ravel()).tobytes()
    return bytes(packed)


def decode(data: memoryview, count: int, width: int) -> tuple[Symbols, int]:
    """Unpack `count` symbols from the start of `data`; also return how many bytes they took.

    Raises:
        UserError: `data` ends too early, or the last byte is not filled up with zeros.
    """
    used = (count * width + 7) // 8
    if used > len(data):
        raise UserError("data ends too early")
    symbols = np.zeros(count, dtype=select_unsigned_dtype(width))
    if not width:  # an alphabet of one symbol takes no bits
        return symbols, used
    bit_values = 1 << np.arange(width - 1, -1, -1, dtype=np.uint32)
    for start in range(0, count, BLOCK_SYMBOLS):
        stop = min(start + BLOCK_SYMBOLS, count)
        block = np.frombuffer(data[start * width // 8 : (stop * width + 7) // 8], dtype=np.uint8)
        bits = np.unpackbits(block)
        block_bits = (stop - start) * width
        check_padding_bits(bits[block_bits:])
        symbols[start:stop] = bits[:block_bits].reshape(-1, width) @ bit_values
    return symbols, used


def select_unsigned_dtype(width: int) -> type[np.unsignedinteger[Any]]:
    """Return the smallest type that holds numbers of so many bits, at most 32."""
    if width <= 8:
        return np.uint8
    if width <= 16:
        return np.uint16
    return np.uint32


def check_padding_bits(bits: Symbols) -> None:
    """Refuse ones among the bits after the last symbol: the same symbols must have only one code."""
    if bits.any():
        raise UserError("bits are set after the last symbol")
