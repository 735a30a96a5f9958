"""One writer at a time: a locked file beside a SQLite database or the store, PostgreSQL's own lock in a database."""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from convarium.tracking.sqlite_address import get_sqlite_file
from convarium.tracking.tracker_address import get_address_scheme
from convarium.tracking.tracker_connection import PostgresDatabase

RETRY_PAUSE_SECONDS = 0.1
ADVISORY_LOCK_KEY = 0x434F4E56  # "CONV"


@contextmanager
def hold_tracker_lock(uri: str, store_root: Path) -> Iterator[None]:
    """Wait for, and hold, the right to write to a tracker; it ends with the process, however that ends."""
    if get_address_scheme(uri) == "postgresql":
        with closing(PostgresDatabase(uri).connect()) as database:
            database.autocommit = True
            cursor = database.cursor()
            _wait_until_taken(lambda: _try_advisory_lock(cursor))
            yield
        return
    path = (
        get_sqlite_file(uri).with_suffix(".lock")
        if get_address_scheme(uri) == "sqlite"
        else store_root.resolve().parent / "mlflow.lock"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        _wait_until_taken(lambda: _try_file_lock(file.fileno()))
        yield


def _wait_until_taken(take: Callable[[], bool]) -> None:
    while not take():
        time.sleep(RETRY_PAUSE_SECONDS)


def _try_advisory_lock(cursor: Any) -> bool:
    cursor.execute("SELECT pg_try_advisory_lock(%s)", (ADVISORY_LOCK_KEY,))
    return bool(cursor.fetchone()[0])


def _try_file_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
