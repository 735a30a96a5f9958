"""One process at a time may time something on a host."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir
from time import sleep

from convarium.store.disk import open_shared_file


@contextmanager
def hold_timing_lock(on_wait: Callable[[], None], path: Path | None = None) -> Iterator[None]:
    """Hold the host's clock; while another process holds it, wait and call `on_wait` (which may raise) every second.

    The kernel releases the lock of a process that dies. Only timing waits for it: whatever else runs on the machine
    shows up as spread.
    """
    path = path or Path(gettempdir()) / "convarium-clock.lock"
    descriptor = open_shared_file(path)
    try:
        while not _try_lock(descriptor):
            on_wait()
            sleep(1)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
