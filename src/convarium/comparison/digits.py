"""Bounds of an interval as text, with as many digits as they need to say what they are."""

from collections.abc import Callable

MOST = 3


def bounds(mean: float, low: float, high: float, write: Callable[[float, int], str]) -> str:
    """Return "LOW..HIGH" with as few further digits as keep the two apart, around the mean, and from a zero not theirs.

    Args:
        mean: as it stands beside the interval, rounded.
        write: a number as text, with so many digits more than usual.
    """
    for further in range(MOST + 1):
        texts = [write(low, further), write(high, further)]
        least, most = map(float, texts)
        if least < most and least <= mean <= most and (least == 0) == (low == 0) and (most == 0) == (high == 0):
            break
    return "..".join(texts)
