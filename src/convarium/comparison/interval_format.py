"""Bounds of an interval as text, with enough digits that rounding does not make them misleading."""

from collections.abc import Callable

MAX_EXTRA_DIGITS = 3  # a still narrower interval is a rounding error's: no number of digits would settle it


def format_bounds(mean: float, low: float, high: float, format_number: Callable[[float, int], str]) -> str:
    """Return "LOW..HIGH", with more digits than usual only where rounding would say something false.

    Digits are added until the printed bounds differ, the printed mean is between them, and a bound is printed as zero
    only where it is zero.

    Args:
        mean: as it is printed next to the interval, rounded.
        format_number: returns a number as text, with the given number of extra digits.
    """
    for extra_digits in range(MAX_EXTRA_DIGITS + 1):
        low_text = format_number(low, extra_digits)
        high_text = format_number(high, extra_digits)
        rounded_low = float(low_text)
        rounded_high = float(high_text)
        is_mean_inside = rounded_low < rounded_high and rounded_low <= mean <= rounded_high
        are_zeros_true = (rounded_low == 0) == (low == 0) and (rounded_high == 0) == (high == 0)
        if is_mean_inside and are_zeros_true:
            break
    return f"{low_text}..{high_text}"
