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
from convarium.tracking.address import hidden, kind, masked
from convarium.tracking.sqlite import file_of

PATIENCE_SECONDS = 10
SQLITE = b"SQLite format 3\0"
NO_TABLE = "UndefinedTable"  # as PostgreSQL names it


class NotReached(UserError):
    """The tracker does not answer, or refuses; what is stored is untouched, and a later sync is complete."""


def reach(uri: str) -> None:
    """Return if a tracker answers.

    Raises:
        NotReached: it does not, and why; the password of its address is not told.
    """
    try:
        _server(uri) if is_server(uri) else database(uri).rows("SELECT 1")
    except NotReached:
        raise
    except (OSError, ValueError, sqlite3.Error) as error:
        raise NotReached(f"tracker {masked(uri)}: {_reason(error, uri)}") from None


def is_server(uri: str) -> bool:
    """Whether an address is a server's, no database's."""
    return kind(uri) in ("http", "https")


@dataclass(frozen=True)
class File:
    """A SQLite file."""

    path: Path

    def rows(self, query: str, values: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query; none where the file or the table is not there yet."""
        if not self.path.exists():
            return []
        with closing(sqlite3.connect(self.path, timeout=PATIENCE_SECONDS)) as opened:
            try:
                return opened.execute(query, values).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    return []
                raise

    def write(self, query: str, rows: Sequence[Sequence[str]]) -> None:
        """Execute a query for each of many rows of values, all or none."""
        with closing(sqlite3.connect(self.path, timeout=PATIENCE_SECONDS)) as opened, opened:
            opened.executemany(query, rows)


@dataclass(frozen=True)
class Server:
    """A database of PostgreSQL."""

    uri: str

    def rows(self, query: str, values: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query; none where the table is not there yet."""
        with closing(self.connection()) as opened, opened.cursor() as cursor:
            try:
                cursor.execute(query.replace("?", "%s"), values)
            except Exception as error:
                if type(error).__name__ == NO_TABLE:
                    return []
                raise
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found

    def write(self, query: str, rows: Sequence[Sequence[str]]) -> None:
        """Execute a query for each of many rows of values, all or none."""
        with closing(self.connection()) as opened, opened, opened.cursor() as cursor:
            cursor.executemany(query.replace("?", "%s"), rows)

    def connection(self) -> Any:
        """Return a connection.

        Raises:
            NotReached: no driver, no server, no such user, password or database.
        """
        if importlib.util.find_spec("psycopg2") is None:
            raise NotReached(f"tracker {masked(self.uri)}: psycopg2 is missing: pip install psycopg2-binary")
        psycopg2: Any = importlib.import_module("psycopg2")
        head, _, rest = self.uri.partition("://")
        try:
            return psycopg2.connect(f"{head.partition('+')[0]}://{rest}", connect_timeout=PATIENCE_SECONDS)
        except psycopg2.Error as error:
            raise NotReached(f"tracker {masked(self.uri)}: {_reason(error, self.uri)}") from None


def database(uri: str) -> File | Server:
    """Return the database of an address.

    Raises:
        NotReached: it is a file, but no database.
    """
    if kind(uri) != "sqlite":
        return Server(uri)
    path = file_of(uri)
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(len(SQLITE))
        if head not in (b"", SQLITE):
            raise NotReached(f"tracker {masked(uri)}: {path} is no SQLite database")
    return File(path)


def _server(uri: str) -> None:
    parts = urlsplit(uri)
    plain = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], path=f"{parts.path.rstrip('/')}/version"))
    request = Request(plain, headers=_authority(parts.username, parts.password))
    try:
        with urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            found = answer.read(64).decode(errors="replace").strip()
    except HTTPError as error:
        refused = error.code in (401, 403)
        reason = "refuses the user or the password" if refused else f"is no MLflow server (answers {error.code})"
        raise NotReached(f"tracker {masked(uri)}: {reason}") from None
    except URLError as error:
        raise NotReached(f"tracker {masked(uri)}: can't be reached: {_reason(error.reason, uri)}") from None
    if not found[:1].isdigit():
        raise NotReached(f"tracker {masked(uri)}: is no MLflow server (its version is {found[:20]!r})")


def _authority(user: str | None, password: str | None) -> dict[str, str]:
    user = unquote(user) if user else os.environ.get("MLFLOW_TRACKING_USERNAME")
    password = unquote(password) if password else os.environ.get("MLFLOW_TRACKING_PASSWORD")
    if not user:
        return {}
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password or ''}".encode()).decode()}


def _reason(error: BaseException | str, uri: str) -> str:
    lines = (getattr(error, "strerror", None) or str(error)).strip().splitlines()
    return hidden(lines[0] if lines else type(error).__name__, uri)
