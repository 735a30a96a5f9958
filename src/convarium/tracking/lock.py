"""One writer at a time: a locked file beside a SQLite database or the store, PostgreSQL's own lock in a database."""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from convarium.tracking.address import kind
from convarium.tracking.reach import Server
from convarium.tracking.sqlite import file_of

PAUSE_SECONDS = 0.1
KEY = 0x434F4E56  # "CONV"


@contextmanager
def alone(uri: str, store: Path) -> Iterator[None]:
    """Wait for, and hold, the right to write to a tracker; it ends with the process, however that ends."""
    if kind(uri) == "postgresql":
        with closing(Server(uri).connection()) as database:
            database.autocommit = True
            cursor = database.cursor()
            _wait(lambda: _taken(cursor))
            yield
        return
    path = file_of(uri).with_suffix(".lock") if kind(uri) == "sqlite" else store.resolve().parent / "mlflow.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        _wait(lambda: _locked(file.fileno()))
        yield


def _wait(take: Callable[[], bool]) -> None:
    while not take():
        time.sleep(PAUSE_SECONDS)


def _taken(cursor: Any) -> bool:
    cursor.execute("SELECT pg_try_advisory_lock(%s)", (KEY,))
    return bool(cursor.fetchone()[0])


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
