"""Canonical Huffman codes of at most 15 bits (Huffman 1952; package-merge: Larmore and Hirschberg 1990).

A coded stream is a table, then the code words. The table is the number of its lengths (varint) and the lengths of the
code words of symbols 0, 1, …, in four bits each. Code words of one length ascend with their symbols. Where fixed width
is not longer, the number is 0 and the symbols follow in fixed width.
"""

from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convarium.coding import fixed_width
from convarium.coding.fixed_width import Symbols
from convarium.coding.varint import decode_varint, encode_varint
from convarium.errors import UserError

MAX_CODE_BITS = 15  # a length takes four bits in the table
BLOCK_BYTES = 1 << 14  # decoded at once, because the windows at every bit take memory


def compute_code_lengths(histogram: Symbols) -> NDArray[np.uint8]:
    """Return the optimal code lengths of at most 15 bits for symbols of this histogram; 0 for those that don't occur.

    Package-merge: in each round pairs of the sorted list are packaged and merged with the single symbols again. A
    symbol's length is the number of rounds in which it is among the cheapest, chosen from the last round backwards.

    Raises:
        ValueError: more than 2**15 symbols occur.
    """
    lengths = np.zeros(len(histogram), dtype=np.uint8)
    used = np.flatnonzero(histogram)
    if len(used) < 2:
        lengths[used] = 1
        return lengths
    if len(used) > 1 << MAX_CODE_BITS:
        raise ValueError(f"more than {1 << MAX_CODE_BITS} symbols")
    order = used[np.argsort(histogram[used], kind="stable")]
    weights = histogram[order].tolist()
    rounds: list[list[bool]] = []
    items = _merge_packages([], weights)
    for _ in range(MAX_CODE_BITS - 1):
        rounds.append([is_single for _, is_single in items])
        packages = [items[i][0] + items[i + 1][0] for i in range(0, len(items) - 1, 2)]
        items = _merge_packages(packages, weights)
    rounds.append([is_single for _, is_single in items])
    chosen = 2 * len(used) - 2
    for is_single in reversed(rounds):
        singles = sum(is_single[:chosen])
        lengths[order[:singles]] += 1
        chosen = 2 * (chosen - singles)  # the items inside the chosen packages
    return lengths


def _merge_packages(packages: list[int], weights: list[int]) -> list[tuple[int, bool]]:
    """Return both lists as (weight, is a single symbol), sorted by weight, at equal weight single symbols first."""
    items = [(weight, True) for weight in weights] + [(weight, False) for weight in packages]
    return sorted(items, key=itemgetter(0))


def count_bytes(histogram: Symbols, width: int) -> int:
    """Return the bytes that symbols of this histogram take, table included."""
    fixed_bytes = _count_fixed_bytes(histogram, width)
    used = np.flatnonzero(histogram)
    if not len(used) or len(used) > 1 << MAX_CODE_BITS:
        return fixed_bytes
    lengths = compute_code_lengths(histogram)
    code_bits = int((histogram * lengths.astype(np.int64)).sum())
    return min(fixed_bytes, len(_encode_length_table(lengths)) + (code_bits + 7) // 8)


def _count_fixed_bytes(histogram: Symbols, width: int) -> int:
    """Return the bytes in fixed width, after the 0 in place of a table."""
    return 1 + fixed_width.count_bytes(histogram, width)


def encode(symbols: Symbols, width: int) -> bytes:
    """Code symbols of 0..2**width - 1, or pack them in fixed width where that is not longer."""
    histogram = np.bincount(symbols, minlength=1)
    if count_bytes(histogram, width) >= _count_fixed_bytes(histogram, width):
        return b"\0" + fixed_width.encode(symbols, width)
    lengths = compute_code_lengths(histogram)
    return _encode_length_table(lengths) + _encode_code_words(symbols, lengths)


def _encode_length_table(lengths: NDArray[np.uint8]) -> bytes:
    count = int(np.flatnonzero(lengths)[-1]) + 1
    return encode_varint(count) + fixed_width.encode(lengths[:count], 4)


def _encode_code_words(symbols: Symbols, lengths: NDArray[np.uint8]) -> bytes:
    symbol_lengths = lengths[symbols].astype(np.int64)
    code_words = _assign_code_words(lengths)[symbols]
    ends = np.cumsum(symbol_lengths)
    starts = ends - symbol_lengths
    bits = np.zeros(int(ends[-1]), dtype=np.uint8)
    # One pass for each bit of a code word, over all symbols at once: a loop over the symbols would be far slower.
    for bit in range(int(symbol_lengths.max())):
        has_bit = symbol_lengths > bit
        bits[starts[has_bit] + bit] = code_words[has_bit] >> (symbol_lengths[has_bit] - 1 - bit) & 1
    return np.packbits(bits).tobytes()


def _assign_code_words(lengths: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the canonical code word of each symbol; 0 for those without one."""
    code_words = np.zeros(len(lengths), dtype=np.int64)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    unused_bits = MAX_CODE_BITS - lengths[order].astype(np.int64)
    # A code word of n bits takes the span of all words of 15 bits that begin with it; spans follow one another.
    spans = 1 << unused_bits
    code_words[order] = (np.cumsum(spans) - spans) >> unused_bits
    return code_words


def decode(data: memoryview, count: int, width: int) -> tuple[Symbols, int]:
    """Decode `count` symbols from the start of `data`; also return how many bytes they took.

    Raises:
        UserError: `data` ends too early, or is not what `encode` writes.
    """
    entries, begin = decode_varint(data)
    if not entries:
        symbols, used = fixed_width.decode(data[begin:], count, width)
        return symbols, begin + used
    if not count or entries > 1 << width:
        raise UserError("a code table is longer than its alphabet")
    lengths, used = fixed_width.decode(data[begin:], entries, 4)
    begin += used
    longest, symbols_by_window, lengths_by_window = _build_lookup_table(lengths.astype(np.uint8))
    symbols, used = _decode_code_words(data[begin:], count, longest, symbols_by_window, lengths_by_window)
    return symbols, begin + used


def _build_lookup_table(lengths: NDArray[np.uint8]) -> tuple[int, Symbols, Symbols]:
    """Return the longest length, and for each window of so many bits its first symbol and that symbol's length."""
    longest = int(lengths.max())
    used = np.flatnonzero(lengths)
    is_single_symbol = len(used) == 1
    if not lengths[-1] or (is_single_symbol and longest != 1):
        raise UserError("a code table is not canonical")
    order = used[np.argsort(lengths[used], kind="stable")]
    spans = 1 << (longest - lengths[order].astype(np.int64))
    window_count = 1 << longest
    covered_windows = int(spans.sum())
    if covered_windows != window_count and not (is_single_symbol and covered_windows == 1):
        raise UserError("a code table is not a complete prefix code")
    spans[0] += window_count - covered_windows  # a single symbol of one bit leaves half of the windows
    dtype = fixed_width.select_unsigned_dtype(len(lengths).bit_length())
    return longest, np.repeat(order, spans).astype(dtype), np.repeat(lengths[order], spans)


def _decode_code_words(
    data: memoryview, count: int, longest: int, symbols_by_window: Symbols, lengths_by_window: Symbols
) -> tuple[Symbols, int]:
    """Look up the window at every bit of a block, then follow the code words from one to the next."""
    if count > 8 * len(data):  # before memory is taken for them: a symbol has a bit at least
        raise UserError("data ends too early")
    symbols = np.zeros(count, dtype=symbols_by_window.dtype)
    decoded_count, next_bit = 0, 0
    while decoded_count < count:
        block_start = next_bit // 8
        # Two bytes more than are decoded: a code word may begin in the block's last bit.
        windows = _extract_windows(data[block_start : block_start + BLOCK_BYTES + 2], longest)
        steps = lengths_by_window[windows].tolist()
        block_end = min(len(steps), 8 * BLOCK_BYTES)
        bit = next_bit - 8 * block_start
        word_starts = []
        while bit < block_end:
            word_starts.append(bit)
            bit += steps[bit]
        word_starts = word_starts[: count - decoded_count]
        if not word_starts:
            raise UserError("data ends too early")
        symbols[decoded_count : decoded_count + len(word_starts)] = symbols_by_window[windows[word_starts]]
        decoded_count += len(word_starts)
        next_bit = 8 * block_start + word_starts[-1] + steps[word_starts[-1]]
    used = (next_bit + 7) // 8
    if used > len(data):
        raise UserError("data ends too early")
    coded_bytes = np.frombuffer(data[:used], dtype=np.uint8)
    if next_bit % 8:
        fixed_width.check_padding_bits(np.unpackbits(coded_bytes[-1:])[next_bit % 8 :])
    is_single_symbol = len(symbols_by_window) == 2 and symbols_by_window[0] == symbols_by_window[1]
    if is_single_symbol and lengths_by_window[0] == 1:  # its code word is 0, and the table reads 1 as the same
        fixed_width.check_padding_bits(coded_bytes)
    return symbols, used


def _extract_windows(data: memoryview, longest: int) -> NDArray[Any]:
    """Return the `longest` bits from each bit of `data` on, as numbers; zeros follow its end."""
    padded = np.zeros(len(data) + 2, dtype=np.uint32)
    padded[:-2] = np.frombuffer(data, dtype=np.uint8)
    # 24 bits from each byte on hold the windows of 15 bits at most that begin at its eight bits.
    three_bytes = padded[:-2] << 16 | padded[1:-1] << 8 | padded[2:]
    shifts = np.arange(24 - longest, 16 - longest, -1, dtype=np.uint32)
    mask = (1 << longest) - 1
    return (three_bytes[:, None] >> shifts & mask).ravel()
