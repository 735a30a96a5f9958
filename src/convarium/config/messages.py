"""How a mistake is told: the nearest right words, and values as the user would type them."""

from collections.abc import Iterable
from difflib import get_close_matches


def suggest_nearest(wrong: str, right: Iterable[str]) -> str:
    """Return " (did you mean …?)" for the nearest right word, else what there is to choose from."""
    known = sorted(set(right))
    last = {name.rpartition("/")[2]: name for name in known}
    near = get_close_matches(wrong, known, n=1, cutoff=0.7) or [last[n] for n in get_close_matches(wrong, last, n=1)]
    if near:
        return f" (did you mean {near[0]}?)"
    return f" (there is {', '.join(known[:12])}{', …' if len(known) > 12 else ''})" if known else ""


def format_value(value: object) -> str:
    """Return a value as it is typed on the command line, strings quoted where they could be mistaken for numbers."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value if value.replace("_", "a").replace("/", "a").isidentifier() else repr(value)
    return str(value)


def shorten(text: str, max_chars: int = 80) -> str:
    """Return what a stranger wrote as a part of a line: printable, and its middle left out where it is long."""
    shown = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
    half = max_chars // 2
    return shown if len(shown) <= max_chars else f"{shown[:half]}…{shown[-half:]}"
