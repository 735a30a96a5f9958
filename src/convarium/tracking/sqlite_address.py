"""Addresses of SQLite files, by the library that reads them: a name may hold any character."""

from pathlib import Path
from urllib.parse import parse_qsl

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from convarium.config.paths import parse_path
from convarium.errors import UserError

SQLITE_PARAMETERS = {
    "timeout",
    "isolation_level",
    "detect_types",
    "check_same_thread",
    "cached_statements",
}  # of sqlite3


def format_sqlite_address(file: Path) -> str:
    """Return the address of a file.

    Raises:
        UserError: its name is no UTF-8, which an address must be.
    """
    try:
        return URL.create("sqlite", database=str(file)).render_as_string(hide_password=False)
    except UnicodeEncodeError:
        raise UserError(f"tracker: {str(file)!r} is no UTF-8, so no address can hold it; name another file") from None


def get_sqlite_file(uri: str) -> Path:
    """Return the file of an address."""
    try:
        return Path(make_url(uri).database or "")
    except ArgumentError:
        return Path()


def check_sqlite_address(uri: str, default_folder: Path) -> str:
    """Return an address whose file can be made, `~` expanded; `default_folder` is a folder that may be missing still.

    Raises:
        UserError: it names no file, one in another folder that is not there, or an unknown parameter.
    """
    file = get_sqlite_file(uri)
    if not file.name or file.name == ":memory:" or make_url(uri).host:
        raise UserError(f"tracker {uri}: it names no file; write sqlite:///outputs/mlflow.db, with three slashes")
    given = dict(parse_qsl(uri.partition("?")[2], keep_blank_values=True))
    if unknown := [key for key in given if key not in SQLITE_PARAMETERS]:
        raise UserError(
            f"tracker {uri}: {unknown[0]!r} is not a parameter of a SQLite address; a ? in a name is written %3F"
        )
    found = parse_path(file)
    folder = found.resolve().parent
    if folder != default_folder and not folder.is_dir():
        hint = " (a % in a name is written %25)" if "%" in uri else ""
        raise UserError(f"tracker {uri}: the folder {folder} is not there{hint}; make it, or name another file")
    return uri if found == file else format_sqlite_address(found)
