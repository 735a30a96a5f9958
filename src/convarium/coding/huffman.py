"""Canonical Huffman codes of at most 15 bits (Huffman 1952; package-merge: Larmore and Hirschberg 1990).

A coded stream is the number of lengths in the table (varint; 0 means that fixed width is shorter and follows), then
code lengths in four bits each for symbols 0, 1, …, then codes. Codes of one length ascend with their symbols.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convarium.coding import fixed_width
from convarium.coding.fixed_width import Symbols
from convarium.coding.varint import decode_varint, encode_varint
from convarium.errors import UserError

MAX_CODE_BITS = 15
BLOCK_BYTES = 1 << 14


def compute_code_lengths(histogram: Symbols) -> NDArray[np.uint8]:
    """The optimal code lengths of at most 15 bits for symbols that occur so often; 0 for those that don't occur.

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
    row = _merge_packages([], weights)
    for _ in range(MAX_CODE_BITS - 1):
        rounds.append([single for _, single in row])
        row = _merge_packages([row[i][0] + row[i + 1][0] for i in range(0, len(row) - 1, 2)], weights)
    rounds.append([single for _, single in row])
    chosen = 2 * len(used) - 2
    for flags in reversed(rounds):
        singles = sum(flags[:chosen])
        lengths[order[:singles]] += 1
        chosen = 2 * (chosen - singles)
    return lengths


def _merge_packages(packages: list[int], weights: list[int]) -> list[tuple[int, bool]]:
    """Both lists, sorted by weight; single symbols come before packages of the same weight."""
    items = [(weight, True) for weight in weights] + [(weight, False) for weight in packages]
    return sorted(items, key=lambda item: item[0])


def count_bytes(histogram: Symbols, width: int) -> int:
    """Bytes that symbols of this histogram take, table included."""
    fixed = fixed_width.count_bytes(histogram, width) + 1
    used = np.flatnonzero(histogram)
    if not len(used) or len(used) > 1 << MAX_CODE_BITS:
        return fixed
    lengths = compute_code_lengths(histogram)
    coded = int((histogram * lengths.astype(np.int64)).sum())
    return min(fixed, len(_encode_length_table(lengths)) + (coded + 7) // 8)


def encode(symbols: Symbols, width: int) -> bytes:
    """Code symbols of 0..2**width - 1, or pack them where that is shorter."""
    histogram = np.bincount(symbols, minlength=1)
    fixed = fixed_width.count_bytes(histogram, width) + 1
    if count_bytes(histogram, width) >= fixed:
        return b"\0" + fixed_width.encode(symbols, width)
    lengths = compute_code_lengths(histogram)
    return _encode_length_table(lengths) + _encode_code_words(symbols, lengths)


def _encode_length_table(lengths: NDArray[np.uint8]) -> bytes:
    count = int(np.flatnonzero(lengths)[-1]) + 1
    return encode_varint(count) + fixed_width.encode(lengths[:count], 4)


def _encode_code_words(symbols: Symbols, lengths: NDArray[np.uint8]) -> bytes:
    own = lengths[symbols].astype(np.int64)
    ends = np.cumsum(own)
    starts, words = ends - own, _assign_code_words(lengths)[symbols]
    packed = np.zeros(int(ends[-1]), dtype=np.uint8)
    for bit in range(int(own.max())):
        longer = own > bit
        packed[starts[longer] + bit] = words[longer] >> (own[longer] - 1 - bit) & 1
    return np.packbits(packed).tobytes()


def _assign_code_words(lengths: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The code word of each symbol."""
    words = np.zeros(len(lengths), dtype=np.int64)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    own = lengths[order].astype(np.int64)
    spans = 1 << (MAX_CODE_BITS - own)
    words[order] = (np.cumsum(spans) - spans) >> (MAX_CODE_BITS - own)
    return words


def decode(data: memoryview, count: int, width: int) -> tuple[Symbols, int]:
    """Decode `count` symbols from the start of `data`; also return how many bytes they took.

    Raises:
        UserError: `data` ends before, or is not what `encode` writes.
    """
    entries, begin = decode_varint(data)
    if not entries:
        symbols, used = fixed_width.decode(data[begin:], count, width)
        return symbols, begin + used
    if not count or entries > 1 << width:
        raise UserError("a code table is longer than its alphabet")
    lengths, used = fixed_width.decode(data[begin:], entries, 4)
    begin += used
    symbols, used = _decode_code_words(data[begin:], count, *_build_lookup_table(lengths.astype(np.uint8)))
    return symbols, begin + used


def _build_lookup_table(lengths: NDArray[np.uint8]) -> tuple[int, Symbols, Symbols]:
    """The longest length, and for each window of so many bits the symbol it begins with and that symbol's length."""
    longest = int(lengths.max())
    used = np.flatnonzero(lengths)
    if not lengths[-1] or (len(used) == 1 and longest != 1):
        raise UserError("a code table is not canonical")
    order = used[np.argsort(lengths[used], kind="stable")]
    spans = 1 << (longest - lengths[order].astype(np.int64))
    whole = int(spans.sum())
    if whole != 1 << longest and not (len(used) == 1 and whole == 1):
        raise UserError("a code table is not a complete prefix code")
    spans[0] += (1 << longest) - whole
    narrow = fixed_width.select_unsigned_dtype(len(lengths).bit_length())
    return longest, np.repeat(order, spans).astype(narrow), np.repeat(lengths[order], spans)


def _decode_code_words(
    data: memoryview, count: int, longest: int, symbols: Symbols, lengths: Symbols
) -> tuple[Symbols, int]:
    """Look up the window at every bit of a block, then follow the code words from one to the next."""
    if count > 8 * len(data):
        raise UserError("data ends too early")
    found = np.zeros(count, dtype=symbols.dtype)
    done, bit = 0, 0
    while done < count:
        first = bit // 8
        windows = _extract_windows(data[first : first + BLOCK_BYTES + 2], longest)
        steps = lengths[windows].tolist()
        place, visited = bit - 8 * first, []
        end = min(len(steps), 8 * BLOCK_BYTES)
        while place < end:
            visited.append(place)
            place += steps[place]
        taken = visited[: count - done]
        if not taken:
            raise UserError("data ends too early")
        found[done : done + len(taken)] = symbols[windows[taken]]
        done += len(taken)
        bit = 8 * first + taken[-1] + steps[taken[-1]]
    used = (bit + 7) // 8
    if used > len(data):
        raise UserError("data ends too early")
    if bit % 8:
        fixed_width.check_padding_bits(np.unpackbits(np.frombuffer(data[used - 1 : used], dtype=np.uint8))[bit % 8 :])
    if len(symbols) == 2 and lengths[0] == 1 and symbols[0] == symbols[1]:
        _check_zero_bits(data[:used])
    return found, used


def _check_zero_bits(data: memoryview) -> None:
    fixed_width.check_padding_bits(np.frombuffer(data, dtype=np.uint8))


def _extract_windows(data: memoryview, longest: int) -> NDArray[Any]:
    """The next `longest` bits at each bit of `data`, as numbers; zeros follow its end."""
    raw = np.zeros(len(data) + 2, dtype=np.uint32)
    raw[:-2] = np.frombuffer(data, dtype=np.uint8)
    three = raw[:-2] << 16 | raw[1:-1] << 8 | raw[2:]
    shifts = np.arange(24 - longest, 16 - longest, -1, dtype=np.uint32)
    return (three[:, None] >> shifts & ((1 << longest) - 1)).ravel()
