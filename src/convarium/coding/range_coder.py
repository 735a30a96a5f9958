"""An adaptive binary range coder in whole numbers alone: every machine makes the same bytes.

Carry-free range coding (Schindler 1998; Mahoney 2005, "Adaptive weighing of context models", section 2). A probability
has 22 bits, lies within 2**-11 and 1 - 2**-11, and moves towards each bit by 1 / (number of bits seen + 1.5).

Functions here are written for plain lists, and are compiled as they are by numba for arrays (`machine`).
"""

from typing import Any

PROBABILITY_ONE = 1 << 22
MIN_PROBABILITY = 1 << 11
MAX_RANGE = (1 << 32) - 1
MAX_BIT_COUNT = 1000

LOW, HIGH, VALUE, NEXT_BYTE, DECODING = range(5)


def start_stream(state: Any, data: Any, decoding: int) -> None:
    """Start a stream: `state` is five numbers, `data` the bytes to read or those to be filled."""
    state[LOW], state[HIGH], state[VALUE], state[NEXT_BYTE], state[DECODING] = 0, MAX_RANGE, 0, 0, decoding
    if decoding:
        for place in range(4):
            state[VALUE] = state[VALUE] << 8 | (data[place] if place < len(data) else 0)
        state[NEXT_BYTE] = 4


def code_bit(state: Any, data: Any, probabilities: Any, bit_counts: Any, context: int, bit: int) -> int:
    """Code one bit, or decode it (then `bit` is not looked at), by the probability of a one in `context`."""
    low, high, odd, before = state[LOW], state[HIGH], probabilities[context], bit_counts[context]
    middle = low + ((high - low) * odd >> 22)
    if state[DECODING]:
        bit = 1 if state[VALUE] <= middle else 0
    if bit:
        high = middle
        probabilities[context] = odd + (PROBABILITY_ONE - MIN_PROBABILITY - odd) * 2 // (2 * before + 3)
    else:
        low = middle + 1
        probabilities[context] = odd + (MIN_PROBABILITY - odd) * 2 // (2 * before + 3)
    if before < MAX_BIT_COUNT:
        bit_counts[context] = before + 1
    while (low ^ high) < 1 << 24:
        place = state[NEXT_BYTE]
        state[NEXT_BYTE] = place + 1
        if state[DECODING]:
            state[VALUE] = (state[VALUE] << 8 & MAX_RANGE) | (data[place] if place < len(data) else 0)
        else:
            data[place] = high >> 24
        low, high = low << 8 & MAX_RANGE, (high << 8 & MAX_RANGE) | 255
    state[LOW], state[HIGH] = low, high
    return bit


def compute_stream_tail(low: int, high: int) -> bytes:
    """The fewest bytes that end a stream in this state, whatever follows it."""
    for size in range(4):
        unit = 1 << 32 - 8 * size
        first = -(-low // unit) * unit
        if first + unit - 1 <= high:
            return (first // unit).to_bytes(size, "big")
    return low.to_bytes(4, "big")
