"""Replace characters that a stream can't encode: ours by ASCII, those of users by an escape."""

import codecs
from io import TextIOWrapper

ASCII_REPLACEMENTS = {"…": "...", "→": "->", "·": "*", "≤": "<=", "÷": "/", "─": "-"}
ERROR_HANDLER_NAME = "convarium.plain"


def replace_unencodable(stream: TextIOWrapper) -> None:
    """Let a stream, whose encoding may be ASCII, write any text."""
    codecs.register_error(ERROR_HANDLER_NAME, _replace_characters)
    stream.reconfigure(errors=ERROR_HANDLER_NAME)


def _replace_characters(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    replaced = "".join(ASCII_REPLACEMENTS.get(character, character) for character in characters)
    return replaced.encode("ascii", "backslashreplace").decode(), error.end
