"""Parts of error messages: the nearest right words, and values as the user would type them."""

from collections.abc import Iterable
from difflib import get_close_matches

MAX_LISTED_WORDS = 12


def suggest_nearest(wrong: str, right: Iterable[str]) -> str:
    """Return " (did you mean …?)" for the nearest right word, else what there is to choose from."""
    known = sorted(set(right))
    if not known:
        return ""
    matches = get_close_matches(wrong, known, n=1, cutoff=0.7)
    if not matches:
        name_by_last_part = {name.rpartition("/")[2]: name for name in known}
        matches = [name_by_last_part[part] for part in get_close_matches(wrong, name_by_last_part, n=1)]
    if matches:
        return f" (did you mean {matches[0]}?)"
    ellipsis = ", …" if len(known) > MAX_LISTED_WORDS else ""
    return f" (there is {', '.join(known[:MAX_LISTED_WORDS])}{ellipsis})"


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
