"""A look at a tracker without MLflow, whose import takes seconds: whether it answers, and what its database holds."""

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
    """The tracker does not answer, or refuses; what is stored is untouched, and a later sync is complete."""


def check_tracker_reachable(uri: str) -> None:
    """Return if a tracker answers.

    Raises:
        NotReached: it does not, and why; the password of its address is not told.
    """
    try:
        _check_server(uri) if is_server_address(uri) else open_database(uri).fetch_rows("SELECT 1")
    except TrackerUnreachable:
        raise
    except (OSError, ValueError, sqlite3.Error) as error:
        raise TrackerUnreachable(f"tracker {mask_passwords(uri)}: {_format_reason(error, uri)}") from None


def is_server_address(uri: str) -> bool:
    """Whether an address is a server's, no database's."""
    return get_address_scheme(uri) in ("http", "https")


@dataclass(frozen=True)
class SqliteDatabase:
    """A SQLite file."""

    path: Path

    def fetch_rows(self, query: str, values: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query; none where the file or the table is not there yet."""
        if not self.path.exists():
            return []
        with closing(sqlite3.connect(self.path, timeout=CONNECT_TIMEOUT_SECONDS)) as opened:
            try:
                return opened.execute(query, values).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    return []
                raise

    def execute_many(self, query: str, rows: Sequence[Sequence[str]]) -> None:
        """Execute a query for each of many rows of values, all or none."""
        with closing(sqlite3.connect(self.path, timeout=CONNECT_TIMEOUT_SECONDS)) as opened, opened:
            opened.executemany(query, rows)


@dataclass(frozen=True)
class PostgresDatabase:
    """A database of PostgreSQL."""

    uri: str

    def fetch_rows(self, query: str, values: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query; none where the table is not there yet."""
        with closing(self.connect()) as opened, opened.cursor() as cursor:
            try:
                cursor.execute(query.replace("?", "%s"), values)
            except Exception as error:
                if type(error).__name__ == MISSING_TABLE_ERROR:
                    return []
                raise
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found

    def execute_many(self, query: str, rows: Sequence[Sequence[str]]) -> None:
        """Execute a query for each of many rows of values, all or none."""
        with closing(self.connect()) as opened, opened, opened.cursor() as cursor:
            cursor.executemany(query.replace("?", "%s"), rows)

    def connect(self) -> Any:
        """Return a connection.

        Raises:
            NotReached: no driver, no server, no such user, password or database.
        """
        if importlib.util.find_spec("psycopg2") is None:
            raise TrackerUnreachable(
                f"tracker {mask_passwords(self.uri)}: psycopg2 is missing: pip install psycopg2-binary"
            )
        psycopg2: Any = importlib.import_module("psycopg2")
        head, _, rest = self.uri.partition("://")
        try:
            return psycopg2.connect(f"{head.partition('+')[0]}://{rest}", connect_timeout=CONNECT_TIMEOUT_SECONDS)
        except psycopg2.Error as error:
            raise TrackerUnreachable(f"tracker {mask_passwords(self.uri)}: {_format_reason(error, self.uri)}") from None


def open_database(uri: str) -> SqliteDatabase | PostgresDatabase:
    """Return the database of an address.

    Raises:
        NotReached: it is a file, but no database.
    """
    if get_address_scheme(uri) != "sqlite":
        return PostgresDatabase(uri)
    path = get_sqlite_file(uri)
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(len(SQLITE_FILE_HEADER))
        if head not in (b"", SQLITE_FILE_HEADER):
            raise TrackerUnreachable(f"tracker {mask_passwords(uri)}: {path} is no SQLite database")
    return SqliteDatabase(path)


def _check_server(uri: str) -> None:
    parts = urlsplit(uri)
    plain = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], path=f"{parts.path.rstrip('/')}/version"))
    request = Request(plain, headers=_build_auth_headers(parts.username, parts.password))
    try:
        with urlopen(request, timeout=CONNECT_TIMEOUT_SECONDS) as answer:
            found = answer.read(64).decode(errors="replace").strip()
    except HTTPError as error:
        refused = error.code in (401, 403)
        reason = "refuses the user or the password" if refused else f"is no MLflow server (answers {error.code})"
        raise TrackerUnreachable(f"tracker {mask_passwords(uri)}: {reason}") from None
    except URLError as error:
        raise TrackerUnreachable(
            f"tracker {mask_passwords(uri)}: can't be reached: {_format_reason(error.reason, uri)}"
        ) from None
    if not found[:1].isdigit():
        raise TrackerUnreachable(f"tracker {mask_passwords(uri)}: is no MLflow server (its version is {found[:20]!r})")


def _build_auth_headers(user: str | None, password: str | None) -> dict[str, str]:
    user = unquote(user) if user else os.environ.get("MLFLOW_TRACKING_USERNAME")
    password = unquote(password) if password else os.environ.get("MLFLOW_TRACKING_PASSWORD")
    if not user:
        return {}
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password or ''}".encode()).decode()}


def _format_reason(error: BaseException | str, uri: str) -> str:
    lines = (getattr(error, "strerror", None) or str(error)).strip().splitlines()
    return remove_password(lines[0] if lines else type(error).__name__, uri)
