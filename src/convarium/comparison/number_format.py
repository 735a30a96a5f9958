"""Figures as text, rounded as on the report's page: a half goes away from zero, where Python's own goes to even."""

from decimal import ROUND_HALF_UP, Context, Decimal


def format_rounded(value: float, digits: int = 0, sign: str = "-") -> str:
    """Return a number with so many digits after the point and commas at thousands; `sign` "+" shows a plus as well."""
    rounded = Decimal(value).quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)
    return f"{rounded:{sign},.{digits}f}"


def format_significant(value: float, digits: int = 3) -> str:
    """Return a number with so many significant digits, without zeros at its end."""
    rounded = Context(prec=digits, rounding=ROUND_HALF_UP).create_decimal(Decimal(value))
    return f"{rounded.normalize():f}"


def format_share(share: float | None) -> str:
    """Return a share as a number of percent; nothing for None."""
    return "" if share is None else format_rounded(100 * share, 2)


def format_count(value: float | None) -> str:
    """Return a mean of whole numbers as a whole number; nothing for None."""
    return "" if value is None else format_rounded(value)


def format_ratio(value: float | None) -> str:
    """Return a ratio such as 40.5x or 132x; nothing for None."""
    if value is None:
        return ""
    return f"{format_rounded(value, 0 if value >= 100 else 1)}x"


def format_short_count(value: float | None) -> str:
    """Return a count with three digits and a unit, such as 431k or 2.29M; nothing for None."""
    if value is None:
        return ""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= 0.9995 * size:  # what three digits would round up to the unit
            return f"{format_significant(value / size)}{unit}"
    return format_significant(value)
