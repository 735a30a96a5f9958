import numpy as np
import pytest

from convarium.coding import fixed_width
from convarium.errors import UserError


@pytest.mark.parametrize("count", [0, 1, 7, 8, 1000, 2 * fixed_width.BLOCK_SYMBOLS + 3])
@pytest.mark.parametrize("width", [0, 1, 3, 6, 8, 9, 16])
def test_symbols_come_back_and_take_so_many_bits(width: int, count: int) -> None:
    symbols = np.random.default_rng(0).integers(0, 1 << width, count)
    data = fixed_width.encode(symbols, width)
    assert len(data) == (count * width + 7) // 8 == fixed_width.count_bytes(np.bincount(symbols), width)
    decoded, used = fixed_width.decode(memoryview(data + b"more"), count, width)
    assert decoded.tolist() == symbols.tolist()
    assert used == len(data)


def test_the_highest_bit_comes_first() -> None:
    assert fixed_width.encode(np.array([1, 2, 3]), 3) == bytes([0b001_010_01, 0b1_0000000])


def test_data_that_ends_early_is_refused_before_memory_is_taken() -> None:
    with pytest.raises(UserError, match="ends too early"):
        fixed_width.decode(memoryview(b"abc"), 1 << 60, 6)


def test_ones_after_the_last_symbol_are_refused() -> None:
    with pytest.raises(UserError, match="after the last"):
        fixed_width.decode(memoryview(bytes([0b111_00001])), 1, 3)
