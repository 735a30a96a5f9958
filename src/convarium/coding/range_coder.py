"""An adaptive binary range coder in whole numbers alone, so that every machine makes the same bytes.

Carry-free range coding (Schindler 1998; Mahoney 2005, "Adaptive weighing of context models", section 2). A probability
has 22 bits, lies within 2**-11 and 1 - 2**-11, and moves towards each bit by 1 / (number of bits seen + 1.5).

The functions are written for plain lists; numba compiles the same source for arrays (`kernel_backend`).
"""

from typing import Any

PROBABILITY_ONE = 1 << 22
MIN_PROBABILITY = 1 << 11  # in units of PROBABILITY_ONE: 2**-11
MAX_RANGE = (1 << 32) - 1
MAX_BIT_COUNT = 1000  # from here on a probability follows the last thousand bits or so

# Where the numbers of a stream's state lie: a list, since numba takes no objects of ours.
LOW, HIGH, VALUE, NEXT_BYTE, DECODING = range(5)


def start_stream(state: Any, data: Any, decoding: int) -> None:
    """Start a stream: `state` is five numbers, `data` the bytes to read or a buffer to fill."""
    state[LOW] = 0
    state[HIGH] = MAX_RANGE
    state[VALUE] = 0
    state[NEXT_BYTE] = 0
    state[DECODING] = decoding
    if decoding:
        for index in range(4):
            byte = data[index] if index < len(data) else 0  # a stream may end in fewer bytes (`compute_stream_tail`)
            state[VALUE] = state[VALUE] << 8 | byte
        state[NEXT_BYTE] = 4


def code_bit(state: Any, data: Any, probabilities: Any, bit_counts: Any, context: int, bit: int) -> int:
    """Code one bit by the probability of a one in `context`, or decode it (then `bit` is ignored); return it."""
    low, high, probability, bit_count = state[LOW], state[HIGH], probabilities[context], bit_counts[context]
    middle = low + ((high - low) * probability >> 22)
    if state[DECODING]:
        bit = 1 if state[VALUE] <= middle else 0
    if bit:
        high = middle
        probabilities[context] = probability + (PROBABILITY_ONE - MIN_PROBABILITY - probability) * 2 // (
            2 * bit_count + 3
        )
    else:
        low = middle + 1
        probabilities[context] = probability + (MIN_PROBABILITY - probability) * 2 // (2 * bit_count + 3)
    if bit_count < MAX_BIT_COUNT:
        bit_counts[context] = bit_count + 1
    # Once both bounds have the same first byte, no later bit can change it.
    while (low ^ high) < 1 << 24:
        index = state[NEXT_BYTE]
        state[NEXT_BYTE] = index + 1
        if state[DECODING]:
            state[VALUE] = (state[VALUE] << 8 & MAX_RANGE) | (data[index] if index < len(data) else 0)
        else:
            data[index] = high >> 24
        low, high = low << 8 & MAX_RANGE, (high << 8 & MAX_RANGE) | 255
    state[LOW], state[HIGH] = low, high
    return bit


def compute_stream_tail(low: int, high: int) -> bytes:
    """Return the fewest bytes that end a stream in this state, whatever follows it."""
    for size in range(4):
        unit = 1 << 32 - 8 * size
        prefix = -(-low // unit)  # the first `size` bytes, rounded up
        if prefix * unit + unit - 1 <= high:
            return prefix.to_bytes(size, "big")
    return low.to_bytes(4, "big")
