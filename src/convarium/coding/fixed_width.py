"""Whole numbers of a fixed width, packed bit by bit, highest bit first: the coder of a site that names none."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convarium.errors import UserError

Symbols = NDArray[Any]
BLOCK_SYMBOLS = 1 << 16


def count_bytes(histogram: Symbols, width: int) -> int:
    """Bytes that symbols of this histogram take."""
    return (int(histogram.sum()) * width + 7) // 8


def encode(symbols: Symbols, width: int) -> bytes:
    """Pack symbols of 0..2**width - 1."""
    shifts = np.arange(width - 1, -1, -1, dtype=np.uint32)
    packed = [  # a block is a whole number of bytes
        np.packbits(
            (symbols[start : start + BLOCK_SYMBOLS, None].astype(np.uint32) >> shifts & 1).astype(np.uint8).ravel()
        )
        for start in range(0, len(symbols), BLOCK_SYMBOLS)
    ]
    return b"".join(block.tobytes() for block in packed)


def decode(data: memoryview, count: int, width: int) -> tuple[Symbols, int]:
    """Unpack `count` symbols from the start of `data`; also return how many bytes they took.

    Raises:
        UserError: `data` ends before, or the last byte is not filled up with zeros.
    """
    used = (count * width + 7) // 8
    if used > len(data):
        raise UserError("data ends too early")
    symbols = np.zeros(count, dtype=select_unsigned_dtype(width))
    weights = 1 << np.arange(width - 1, -1, -1, dtype=np.uint32)
    for start in range(0, count if width else 0, BLOCK_SYMBOLS):
        stop = min(start + BLOCK_SYMBOLS, count)
        raw = np.frombuffer(data[start * width // 8 : (stop * width + 7) // 8], dtype=np.uint8)
        bits = np.unpackbits(raw)
        check_padding_bits(bits[(stop - start) * width :])
        symbols[start:stop] = bits[: (stop - start) * width].reshape(-1, width) @ weights
    return symbols, used


def select_unsigned_dtype(width: int) -> type[np.unsignedinteger[Any]]:
    """The smallest type that holds numbers of so many bits."""
    return np.uint8 if width <= 8 else np.uint16 if width <= 16 else np.uint32


def check_padding_bits(bits: Symbols) -> None:
    """Refuse ones after the last symbol: each content has one form."""
    if bits.any():
        raise UserError("bits are set after the last symbol")
