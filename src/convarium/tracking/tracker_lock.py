"""One writer at a time: under an advisory lock of a PostgreSQL database, else under a lock on a file."""

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
    """Wait for the right to write to a tracker, and hold it; a process that is killed loses it too."""
    scheme = get_address_scheme(uri)
    if scheme == "postgresql":
        with closing(PostgresDatabase(uri).connect()) as connection:
            connection.autocommit = True  # else a transaction would stay open for as long as the lock is held
            cursor = connection.cursor()
            _wait_until_taken(lambda: _try_advisory_lock(cursor))
            yield
        return
    # For a server the lock lies beside the store: writers on other hosts are not kept out (`Tracker.read_index`).
    lock_file = store_root.resolve().parent / "mlflow.lock"
    if scheme == "sqlite":
        lock_file = get_sqlite_file(uri).with_suffix(".lock")
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    with lock_file.open("a") as file:
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
