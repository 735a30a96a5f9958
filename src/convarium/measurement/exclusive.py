"""One process at a time may time something on a host."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir
from time import sleep


@contextmanager
def host_clock(waiting: Callable[[], None], path: Path | None = None) -> Iterator[None]:
    """Hold the host's clock; while another process holds it, wait and call `waiting` (which may raise) every second.

    The kernel releases the lock of a process that dies. Only timing waits for it: whatever else runs on the machine
    shows up as spread.
    """
    path = path or Path(gettempdir()) / "convarium-clock.lock"
    descriptor = _opened(path)
    try:
        while not _locked(descriptor):
            waiting()
            sleep(1)
        yield
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    """Another user's file in a shared folder may be read, which is enough for a lock, but not opened for creation."""
    try:
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
