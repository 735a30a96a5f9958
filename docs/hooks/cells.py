"""Words as a cell of a Markdown table."""


def escaped(text: str) -> str:
    """Return text that Markdown and HTML leave as it is, on one line."""
    for mark in "\\|*_[]":
        text = text.replace(mark, f"\\{mark}")
    return text.replace("<", "&lt;").replace("\n", " ")
