"""Addresses of SQLite files, written and read by SQLAlchemy, so that a file's name may hold any character."""

from pathlib import Path
from urllib.parse import parse_qsl

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from convarium.config.paths import parse_path
from convarium.errors import UserError

# The parameters of `sqlite3.connect` that SQLAlchemy takes from an address.
SQLITE_PARAMETERS = {"timeout", "isolation_level", "detect_types", "check_same_thread", "cached_statements"}


def format_sqlite_address(file: Path) -> str:
    """Return the address of a file.

    Raises:
        UserError: its name is not UTF-8, which an address must be.
    """
    try:
        return URL.create("sqlite", database=str(file)).render_as_string(hide_password=False)
    except UnicodeEncodeError:
        raise UserError(f"tracker: {str(file)!r} is not UTF-8, so no address can hold it; name another file") from None


def get_sqlite_file(uri: str) -> Path:
    """Return the file of an address, an empty path if it names none."""
    try:
        return Path(make_url(uri).database or "")
    except ArgumentError:
        return Path()


def check_sqlite_address(uri: str, default_folder: Path) -> str:
    """Return an address with `~` expanded, whose file is there or can be created.

    Only `default_folder` may be missing: a sync makes it.

    Raises:
        UserError: it names no file, a file in a folder that is missing, or an unknown parameter.
    """
    file = get_sqlite_file(uri)
    if not file.name or file.name == ":memory:" or make_url(uri).host:
        raise UserError(f"tracker {uri}: it names no file; write sqlite:///outputs/mlflow.db, with three slashes")
    parameters = dict(parse_qsl(uri.partition("?")[2], keep_blank_values=True))
    unknown_parameters = [key for key in parameters if key not in SQLITE_PARAMETERS]
    if unknown_parameters:
        raise UserError(
            f"tracker {uri}: {unknown_parameters[0]!r} is not a parameter of a SQLite address;"
            " a ? in a name is written %3F"
        )
    expanded_file = parse_path(file)
    folder = expanded_file.resolve().parent
    if folder != default_folder and not folder.is_dir():
        hint = " (a % in a name is written %25)" if "%" in uri else ""
        raise UserError(f"tracker {uri}: the folder {folder} is not there{hint}; make it, or name another file")
    return uri if expanded_file == file else format_sqlite_address(expanded_file)
