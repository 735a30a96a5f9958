"""Connect to a tracker without MLflow, whose import takes seconds: check that it answers, and query its database."""

import base64
import importlib
import importlib.util
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import Request, urlopen

from convarium.errors import UserError
from convarium.tracking.sqlite_address import get_sqlite_file
from convarium.tracking.tracker_address import get_address_scheme, mask_passwords, remove_password

CONNECT_TIMEOUT_SECONDS = 10
SQLITE_FILE_HEADER = b"SQLite format 3\0"
MISSING_TABLE_ERROR = "UndefinedTable"  # as PostgreSQL names it


class TrackerUnreachable(UserError):
    """The tracker does not answer, or refuses. No result is lost: a later sync completes the tracker."""


def check_tracker_reachable(uri: str) -> None:
    """Return if a tracker answers.

    Raises:
        TrackerUnreachable: it does not; the text says why, without the password of the address.
    """
    try:
        if is_server_address(uri):
            _check_server(uri)
        else:
            open_database(uri).fetch_rows("SELECT 1")
    except TrackerUnreachable:
        raise
    except (OSError, ValueError, sqlite3.Error) as error:
        raise TrackerUnreachable(f"tracker {mask_passwords(uri)}: {_format_reason(error, uri)}") from None


def is_server_address(uri: str) -> bool:
    """Whether an address is that of an MLflow server, not of a database."""
    return get_address_scheme(uri) in ("http", "https")


@dataclass(frozen=True)
class SqliteDatabase:
    """A SQLite file."""

    path: Path

    def fetch_rows(self, query: str, values: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query; none where the file or the table is not there yet."""
        if not self.path.exists():
            return []
        with closing(sqlite3.connect(self.path, timeout=CONNECT_TIMEOUT_SECONDS)) as connection:
            try:
                return connection.execute(query, values).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    return []
                raise

    def execute_many(self, query: str, rows: Sequence[Sequence[str | int]]) -> None:
        """Execute a query for each of many rows of values, all or none."""
        with closing(sqlite3.connect(self.path, timeout=CONNECT_TIMEOUT_SECONDS)) as connection, connection:
            connection.executemany(query, rows)


@dataclass(frozen=True)
class PostgresDatabase:
    """A PostgreSQL database."""

    uri: str

    def fetch_rows(self, query: str, values: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query; none where the table is not there yet."""
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            try:
                cursor.execute(query.replace("?", "%s"), values)
            except Exception as error:
                if type(error).__name__ == MISSING_TABLE_ERROR:
                    return []
                raise
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows

    def execute_many(self, query: str, rows: Sequence[Sequence[str | int]]) -> None:
        """Execute a query for each of many rows of values, all or none."""
        with closing(self.connect()) as connection, connection, connection.cursor() as cursor:
            cursor.executemany(query.replace("?", "%s"), rows)

    def connect(self) -> Any:
        """Return a new connection, for the caller to close.

        Raises:
            TrackerUnreachable: there is no driver, no server, or no such user, password or database.
        """
        if importlib.util.find_spec("psycopg2") is None:
            raise TrackerUnreachable(
                f"tracker {mask_passwords(self.uri)}: psycopg2 is missing: pip install psycopg2-binary"
            )
        psycopg2: Any = importlib.import_module("psycopg2")
        scheme, _, rest = self.uri.partition("://")
        # Without the driver's name: `postgresql+psycopg2` is SQLAlchemy's spelling.
        address = f"{scheme.partition('+')[0]}://{rest}"
        try:
            return psycopg2.connect(address, connect_timeout=CONNECT_TIMEOUT_SECONDS)
        except psycopg2.Error as error:
            raise TrackerUnreachable(f"tracker {mask_passwords(self.uri)}: {_format_reason(error, self.uri)}") from None


def open_database(uri: str) -> SqliteDatabase | PostgresDatabase:
    """Return the database of an address.

    Raises:
        TrackerUnreachable: its file is there, but no SQLite database.
    """
    if get_address_scheme(uri) != "sqlite":
        return PostgresDatabase(uri)
    path = get_sqlite_file(uri)
    if path.is_file():
        with path.open("rb") as file:
            header = file.read(len(SQLITE_FILE_HEADER))
        if header not in (b"", SQLITE_FILE_HEADER):  # SQLite takes an empty file for an empty database
            raise TrackerUnreachable(f"tracker {mask_passwords(uri)}: {path} is not a SQLite database")
    return SqliteDatabase(path)


def _check_server(uri: str) -> None:
    """Return if the address answers with the version of an MLflow server."""
    parts = urlsplit(uri)
    # urllib can't read a user and a password in an address: they go into a header.
    host = parts.netloc.rpartition("@")[2]
    version_url = urlunsplit(parts._replace(netloc=host, path=f"{parts.path.rstrip('/')}/version"))
    request = Request(version_url, headers=_build_auth_headers(parts.username, parts.password))
    try:
        with urlopen(request, timeout=CONNECT_TIMEOUT_SECONDS) as response:
            version = response.read(64).decode(errors="replace").strip()
    except HTTPError as error:
        if error.code in (401, 403):
            reason = "refuses the user or the password"
        else:
            reason = f"is not an MLflow server (answers {error.code})"
        raise TrackerUnreachable(f"tracker {mask_passwords(uri)}: {reason}") from None
    except URLError as error:
        reason = _format_reason(error.reason, uri)
        raise TrackerUnreachable(f"tracker {mask_passwords(uri)}: can't be reached: {reason}") from None
    if not version[:1].isdigit():
        reason = f"is not an MLflow server (its version is {version[:20]!r})"
        raise TrackerUnreachable(f"tracker {mask_passwords(uri)}: {reason}")


def _build_auth_headers(user: str | None, password: str | None) -> dict[str, str]:
    """Return the header of a user and a password: the address's, else those of MLflow's environment variables."""
    user = unquote(user) if user else os.environ.get("MLFLOW_TRACKING_USERNAME")
    password = unquote(password) if password else os.environ.get("MLFLOW_TRACKING_PASSWORD")
    if not user:
        return {}
    credentials = base64.b64encode(f"{user}:{password or ''}".encode()).decode()
    return {"Authorization": f"Basic {credentials}"}


def _format_reason(error: BaseException | str, uri: str) -> str:
    """Return the first line of an error's text, without the password of `uri`."""
    lines = (getattr(error, "strerror", None) or str(error)).strip().splitlines()
    return remove_password(lines[0] if lines else type(error).__name__, uri)
