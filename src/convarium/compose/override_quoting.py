"""Quoting of values: paths are taken as they are typed, for others an error says how to quote them."""

import re
import shlex
from collections.abc import Iterator

from hydra.core.override_parser.types import Quote, QuotedString

from convarium.config.override import Override
from convarium.config.search_path import list_config_groups
from convarium.errors import UserError

TEXT_OVERRIDE_KEYS = ("runtime.store", "dataset.root", "dataset.class_names", "tracking.uri", "tracking.experiment")
KEY_PATTERN = re.compile(r"[\w.@/$-]+", re.ASCII)
PLAIN_TEXT_PATTERN = re.compile(r"[\w/\-+.$%*@?|]+", re.ASCII)  # what Hydra takes for a text, unless it is one of these
NON_TEXT_PATTERN = re.compile(r"[+-]?[.\d][\d_.e+-]*|[+-]?inf|[+-]?nan|true|false", re.IGNORECASE)
FUNCTION_PATTERN = re.compile(r"(choice|range|interval|glob|sort|shuffle|str)\(.*\)", re.DOTALL)
QUOTED_PATTERN = re.compile(r"""'(\\.|[^\\'])*'|"(\\.|[^\\"])*\"""", re.DOTALL)
ESCAPE_PATTERN = re.compile(r"\\([\\()\[\]{}:=, \t])")
OPENING_BRACKETS, CLOSING_BRACKETS = "([{", ")]}"


def quote_path_values(text: str) -> str:
    """Return an override in Hydra's grammar whose value, where its key names a path, is the text that was typed.

    A comma still sweeps; quotes, escapes, functions such as `choice(…)`, `${…}`, null and a list of names are Hydra's.

    Raises:
        UserError: no UTF-8; a comma within brackets or at an end, which may be the name's or divide two.
    """
    if not _is_utf8(text):
        raise UserError(f"{ascii(text)[1:-1]}: is not UTF-8; give the file or folder another name, or link to it")
    override = Override(text)
    key, value = override.key, override.value
    is_list = value.startswith("[") and key.endswith("class_names")
    if key not in TEXT_OVERRIDE_KEYS or not value or is_list or FUNCTION_PATTERN.fullmatch(value):
        return text
    names = list(_split_names(value))
    names = names if len(names) == 1 else [name.strip() for name in names]
    if "" in names or any("," in ESCAPE_PATTERN.sub("", name) and not QUOTED_PATTERN.fullmatch(name) for name in names):
        raise UserError(
            f"{text}: a comma divides two values; one with a comma is quoted: {format_quoted_override(key, value)}"
        )
    return f"{override.prefix}{key}={','.join(map(_quote_name, names))}"


def quote_text(text: str) -> str:
    """Return a text in quotes that Hydra takes off again."""
    return QuotedString(text, Quote.single).with_quotes()


def format_quoted_override(key: str, value: str) -> str:
    """Return an override as it is typed in a shell, its value quoted."""
    return shlex.quote(f"{key}={QuotedString(value, Quote.double).with_quotes()}")


def explain_unreadable(text: str, why: str) -> str:
    """Say why an override can't be read, and how its value is quoted where that would help."""
    key, value = Override(text).key, Override(text).value
    if "=" not in text or not KEY_PATTERN.fullmatch(key):
        return f"can't read '{text}': expected key=value ({why})"
    if key in list_config_groups():
        return f"can't read '{text}': expected {key}=NAME" + (" or [first,second]" if key == "compression" else "")
    expected = "expected a number, a name or a list such as [a,b]"
    return f"can't read '{text}': {expected}; a text is quoted: {format_quoted_override(key, value)}"


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _quote_name(name: str) -> str:
    is_plain = PLAIN_TEXT_PATTERN.fullmatch(name) and not NON_TEXT_PATTERN.fullmatch(name)
    if is_plain or QUOTED_PATTERN.fullmatch(name) or "${" in name or name.lower() == "null":
        return name
    return quote_text(ESCAPE_PATTERN.sub(r"\1", name))


def _split_names(value: str) -> Iterator[str]:
    """Yield the names between commas that stand in no quotes and no brackets and are not escaped."""
    start, index, depth = 0, 0, 0
    while index < len(value):
        quoted = QUOTED_PATTERN.match(value, index) if index == start else None
        if quoted and value[quoted.end() : quoted.end() + 1] in ("", ","):
            index = quoted.end()
            continue
        character = value[index]
        if character in OPENING_BRACKETS:
            depth += 1
        elif character in CLOSING_BRACKETS and depth:
            depth -= 1
        if character == "," and not depth:
            yield value[start:index]
            start = index + 1
        index += 2 if character == "\\" else 1
    yield value[start:]
