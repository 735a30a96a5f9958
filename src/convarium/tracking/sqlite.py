"""Addresses of SQLite files, by the library that reads them: a name may hold any character."""

from pathlib import Path
from urllib.parse import parse_qsl

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from convarium.config.paths import path
from convarium.errors import UserError

PARAMETERS = {"timeout", "isolation_level", "detect_types", "check_same_thread", "cached_statements"}  # of sqlite3


def address(file: Path) -> str:
    """Return the address of a file.

    Raises:
        UserError: its name is no UTF-8, which an address must be.
    """
    try:
        return URL.create("sqlite", database=str(file)).render_as_string(hide_password=False)
    except UnicodeEncodeError:
        raise UserError(f"tracker: {str(file)!r} is no UTF-8, so no address can hold it; name another file") from None


def file_of(uri: str) -> Path:
    """Return the file of an address."""
    try:
        return Path(make_url(uri).database or "")
    except ArgumentError:
        return Path()


def checked(uri: str, home: Path) -> str:
    """Return an address whose file can be made, `~` expanded; `home` is a folder that may be missing still.

    Raises:
        UserError: it names no file, one in another folder that is not there, or an unknown parameter.
    """
    file = file_of(uri)
    if not file.name or file.name == ":memory:" or make_url(uri).host:
        raise UserError(f"tracker {uri}: it names no file; write sqlite:///outputs/mlflow.db, with three slashes")
    given = dict(parse_qsl(uri.partition("?")[2], keep_blank_values=True))
    if unknown := [key for key in given if key not in PARAMETERS]:
        raise UserError(
            f"tracker {uri}: {unknown[0]!r} is not a parameter of a SQLite address; a ? in a name is written %3F"
        )
    found = path(file)
    folder = found.resolve().parent
    if folder != home and not folder.is_dir():
        hint = " (a % in a name is written %25)" if "%" in uri else ""
        raise UserError(f"tracker {uri}: the folder {folder} is not there{hint}; make it, or name another file")
    return uri if found == file else address(found)
