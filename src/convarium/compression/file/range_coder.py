"""An adaptive binary range coder in whole numbers alone: every machine makes the same bytes.

Carry-free range coding (Schindler 1998; Mahoney 2005, "Adaptive weighing of context models", section 2). A probability
has 22 bits, lies within 2**-11 and 1 - 2**-11, and moves towards each bit by 1 / (number of bits seen + 1.5).

Functions here are written for plain lists, and are compiled as they are by numba for arrays (`machine`).
"""

from typing import Any

ONE = 1 << 22
LEAST = 1 << 11
TOP = (1 << 32) - 1
SLOWEST = 1000

LOW, HIGH, VALUE, PLACE, DECODING = range(5)


def begin(state: Any, data: Any, decoding: int) -> None:
    """Start a stream: `state` is five numbers, `data` the bytes to read or those to be filled."""
    state[LOW], state[HIGH], state[VALUE], state[PLACE], state[DECODING] = 0, TOP, 0, 0, decoding
    if decoding:
        for place in range(4):
            state[VALUE] = state[VALUE] << 8 | (data[place] if place < len(data) else 0)
        state[PLACE] = 4


def step(state: Any, data: Any, odds: Any, seen: Any, context: int, bit: int) -> int:
    """Code one bit, or decode it (then `bit` is not looked at), by the probability of a one in `context`."""
    low, high, odd, before = state[LOW], state[HIGH], odds[context], seen[context]
    middle = low + ((high - low) * odd >> 22)
    if state[DECODING]:
        bit = 1 if state[VALUE] <= middle else 0
    if bit:
        high = middle
        odds[context] = odd + (ONE - LEAST - odd) * 2 // (2 * before + 3)
    else:
        low = middle + 1
        odds[context] = odd + (LEAST - odd) * 2 // (2 * before + 3)
    if before < SLOWEST:
        seen[context] = before + 1
    while (low ^ high) < 1 << 24:
        place = state[PLACE]
        state[PLACE] = place + 1
        if state[DECODING]:
            state[VALUE] = (state[VALUE] << 8 & TOP) | (data[place] if place < len(data) else 0)
        else:
            data[place] = high >> 24
        low, high = low << 8 & TOP, (high << 8 & TOP) | 255
    state[LOW], state[HIGH] = low, high
    return bit


def tail(low: int, high: int) -> bytes:
    """The fewest bytes that end a stream in this state, whatever follows it."""
    for size in range(4):
        unit = 1 << 32 - 8 * size
        first = -(-low // unit) * unit
        if first + unit - 1 <= high:
            return (first // unit).to_bytes(size, "big")
    return low.to_bytes(4, "big")
