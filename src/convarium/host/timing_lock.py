"""The lock under which latency is timed: one process of a host at a time."""

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
    """Hold the host's timing lock; while another process holds it, wait and call `on_wait` every second.

    Only timing waits for the lock: any other load of the machine shows up as spread of the times.

    Args:
        on_wait: it may raise to end the waiting.
        path: the file to lock, shared by all users of the host.

    Raises:
        PermissionError: another user's lock file is not readable for all.
    """
    path = path or Path(gettempdir()) / "convarium-clock.lock"
    descriptor = open_shared_file(path)
    try:
        while not _try_lock(descriptor):
            on_wait()
            sleep(1)
        yield
    finally:
        os.close(descriptor)  # this releases the lock; the kernel does the same for a process that is killed


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
