"""Letters that a stream can't write: ASCII stands for ours, an escape for those of users."""

import codecs
from io import TextIOWrapper

ASCII_REPLACEMENTS = {"…": "...", "→": "->", "·": "*", "≤": "<=", "÷": "/", "─": "-"}
ERROR_HANDLER_NAME = "convarium.plain"


def replace_unencodable(stream: TextIOWrapper) -> None:
    """Let a stream, which may be ASCII, write every text."""
    codecs.register_error(ERROR_HANDLER_NAME, _replace_letters)
    stream.reconfigure(errors=ERROR_HANDLER_NAME)


def _replace_letters(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    unknown = error.object[error.start : error.end]
    escaped = (
        ASCII_REPLACEMENTS.get(letter, letter).encode("ascii", "backslashreplace").decode() for letter in unknown
    )
    return "".join(escaped), error.end
