"""Parts of error messages: the nearest right words, and values as the user would type them."""

from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher, get_close_matches
from itertools import takewhile

MAX_LISTED_WORDS = 12


def suggest_nearest(wrong: str, right: Iterable[str]) -> str:
    """Return " (did you mean …?)" for the nearest right word, else what there is to choose from."""
    known = sorted(set(right))
    if not known:
        return ""
    name_by_last_part = {name.rpartition("/")[2]: name for name in known}
    nearest = _find_nearest(wrong, dict(zip(known, known, strict=True)), 0.7)
    nearest = nearest or _find_nearest(wrong, name_by_last_part, 0.6)
    if nearest:
        return f" (did you mean {nearest}?)"
    ellipsis = ", …" if len(known) > MAX_LISTED_WORDS else ""
    return f" (there is {', '.join(known[:MAX_LISTED_WORDS])}{ellipsis})"


def _find_nearest(wrong: str, names: Mapping[str, str], least_ratio: float) -> str | None:
    """Return the name of the key that is most like a word, whatever their case; None where none is like it.

    Of two that are as like it the one that begins as it does is nearer: resnet21 is resnet20, not resnet32.
    """
    lower_names = {key.lower(): name for key, name in names.items()}
    typed = wrong.lower()
    matches = get_close_matches(typed, lower_names, n=len(lower_names), cutoff=least_ratio)
    if not matches:
        return None

    def measure_likeness(match: str) -> tuple[float, int]:
        # The order of get_close_matches' own arguments, on which the ratio depends.
        equal_start = takewhile(lambda pair: pair[0] == pair[1], zip(match, typed, strict=False))
        return SequenceMatcher(None, match, typed).ratio(), len(list(equal_start))

    return lower_names[max(matches, key=measure_likeness)]


def format_value(value: object) -> str:
    """Return a value as it is typed on the command line, strings quoted where they could be mistaken for numbers."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        is_word = value.replace("_", "a").replace("/", "a").isidentifier()
        return value if is_word else repr(value)
    return str(value)


def shorten(text: str, max_chars: int = 80) -> str:
    """Return foreign text as a part of a line: printable, and without its middle where it is long."""
    characters = [char if char.isprintable() else char.encode("unicode_escape").decode() for char in text]
    printable = "".join(characters)
    if len(printable) <= max_chars:
        return printable
    half = max_chars // 2  # the end of a line often says what would be right
    return f"{printable[:half]}…{printable[-half:]}"
