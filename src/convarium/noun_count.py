"""Numbers of things as text: "1 point", "12 points"."""


def format_noun_count(count: int, noun: str) -> str:
    """Return a number and its noun, with an s where there is not one of it."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
