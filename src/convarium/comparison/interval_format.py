"""Bounds of an interval as text, with as many digits as they need to say what they are."""

from collections.abc import Callable

MAX_EXTRA_DIGITS = 3


def format_bounds(mean: float, low: float, high: float, format_number: Callable[[float, int], str]) -> str:
    """Return "LOW..HIGH" with as few further digits as keep the two apart, around the mean, and from a zero not theirs.

    Args:
        mean: as it stands beside the interval, rounded.
        format_number: a number as text, with so many digits more than usual.
    """
    for further in range(MAX_EXTRA_DIGITS + 1):
        texts = [format_number(low, further), format_number(high, further)]
        least, most = map(float, texts)
        if least < most and least <= mean <= most and (least == 0) == (low == 0) and (most == 0) == (high == 0):
            break
    return "..".join(texts)
