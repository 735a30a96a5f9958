"""Letters that a stream can't write: ASCII stands for ours, an escape for those of users."""

import codecs
from io import TextIOWrapper

PLAIN = {"…": "...", "→": "->", "·": "*", "≤": "<=", "÷": "/", "─": "-"}
HANDLER = "convarium.plain"


def replace_unknown(stream: TextIOWrapper) -> None:
    """Let a stream, which may be ASCII, write every text."""
    codecs.register_error(HANDLER, _replaced)
    stream.reconfigure(errors=HANDLER)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    unknown = error.object[error.start : error.end]
    escaped = (PLAIN.get(letter, letter).encode("ascii", "backslashreplace").decode() for letter in unknown)
    return "".join(escaped), error.end
