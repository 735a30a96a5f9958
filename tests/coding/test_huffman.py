import time
from itertools import product

import numpy as np
import pytest

from convarium.coding import fixed_width, huffman
from convarium.errors import UserError


def skewed(count: int, alphabet: int) -> np.ndarray:
    drawn = np.random.default_rng(count).exponential(alphabet / 6, count)
    return np.minimum(drawn.astype(np.int64), alphabet - 1)


@pytest.mark.parametrize("count", [0, 1, 2, 50, 20_000, 300_000])
@pytest.mark.parametrize("alphabet", [1, 2, 3, 32, 64, 1000])
def test_symbols_come_back(count: int, alphabet: int) -> None:
    symbols, width = skewed(count, alphabet), (alphabet - 1).bit_length()
    data = huffman.encode(symbols, width)
    assert huffman.count_bytes(np.bincount(symbols, minlength=1), width) == len(data)
    decoded, used = huffman.decode(memoryview(data + b"more"), count, width)
    assert decoded.tolist() == symbols.tolist()
    assert used == len(data)


def test_a_skewed_stream_is_close_to_its_entropy() -> None:
    symbols = skewed(100_000, 64)
    shares = np.bincount(symbols) / len(symbols)
    entropy = -(shares * np.log2(shares)).sum() * len(symbols) / 8
    assert entropy < len(huffman.encode(symbols, 6)) < 1.02 * entropy


def test_an_even_stream_falls_back_to_fixed_width() -> None:
    symbols = np.arange(64)
    assert huffman.encode(symbols, 6) == b"\0" + fixed_width.encode(symbols, 6)


def test_lengths_are_optimal_among_all_complete_codes() -> None:
    histogram = np.array([5, 1, 1, 13, 2, 8])
    lengths = huffman.compute_code_lengths(histogram).astype(int)
    codes = [own for own in product(range(1, 6), repeat=6) if sum(2.0**-length for length in own) <= 1]
    best = min(int((histogram * np.array(own)).sum()) for own in codes)
    assert int((histogram * lengths).sum()) == best


def test_lengths_are_limited_and_still_form_a_complete_code() -> None:
    histogram = np.array([2**power for power in range(40)])
    lengths = huffman.compute_code_lengths(histogram).astype(float)
    assert lengths.max() == huffman.MAX_CODE_BITS
    assert (2.0**-lengths).sum() == 1


def test_a_limited_code_comes_back() -> None:
    symbols = np.repeat(np.arange(24), [2 ** max(0, power - 4) for power in range(24)])
    data = huffman.encode(symbols, 5)
    assert data[0] == 24
    assert huffman.decode(memoryview(data), len(symbols), 5)[0].tolist() == symbols.tolist()


def test_codes_of_one_length_ascend_with_their_symbols() -> None:
    symbols = np.array([0] * 20 + [1] * 4 + [2] * 4 + [3] * 8)
    data = huffman.encode(symbols, 4)
    assert data[:3] == bytes([4, 0x13, 0x32])
    assert data[3:6] == bytes([0, 0, 0b0000_110_1])


@pytest.mark.parametrize(
    ("table", "count"),
    [
        ([1, 1, 1], 3),
        ([2, 2, 2], 3),
        ([1, 0], 3),
        ([2], 3),
        ([0, 0], 3),
        ([1] * 70, 3),
        ([1, 1], 10**12),
        ([1, 1], 0),
    ],
)
def test_tables_that_no_encoder_writes_are_refused(table: list[int], count: int) -> None:
    data = bytes([len(table)]) + fixed_width.encode(np.array(table), 4) + b"\0" * 8
    with pytest.raises(UserError):
        huffman.decode(memoryview(data), count, 6)


def test_a_stream_that_ends_early_is_refused() -> None:
    symbols = skewed(5000, 64)
    data = huffman.encode(symbols, 6)
    for end in (0, 1, 10, len(data) // 2, len(data) - 1):
        with pytest.raises(UserError):
            huffman.decode(memoryview(data[:end]), len(symbols), 6)


def test_a_million_symbols_take_less_than_a_second_each_way() -> None:
    symbols = skewed(250_000, 64)
    begin = time.process_time()
    huffman.decode(memoryview(huffman.encode(symbols, 6)), len(symbols), 6)
    assert time.process_time() - begin < 0.5
