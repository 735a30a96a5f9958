"""Notices that a worker has to leave its host: what a scheduler sends some time before it ends a job.

SIGUSR2 comes as long before the end as the job's script says: the worker leaves at its next check, or at once when half
of that time is over. SIGTERM comes shortly before the end: it leaves at once.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

NOTICE_VARIABLE = "CONVARIUM_NOTICE_SECONDS"
END_VARIABLE = "CONVARIUM_TIME_ENDS"  # when the time limit ends this process, in seconds of this host's clock
SLURM_RESOLUTION_SECONDS = 60.0  # by which Slurm may send a notice earlier
_is_given = threading.Event()  # these are of the whole process, as signals are
_is_end_near = threading.Event()


def is_leave_notice_given() -> bool:
    """Whether this process has been told to leave."""
    return _is_given.is_set()


def is_end_near() -> bool:
    """Whether SIGTERM has come: what it comes from ends this process soon."""
    return _is_end_near.is_set()


def is_time_over() -> bool:
    """Whether this process was told to leave because its time is nearly over, and not to make room for others."""
    if not is_leave_notice_given() or END_VARIABLE not in os.environ:
        return False
    notice_seconds = float(os.environ.get(NOTICE_VARIABLE, 0)) + SLURM_RESOLUTION_SECONDS
    return time.time() >= float(os.environ[END_VARIABLE]) - notice_seconds


@contextmanager
def heed_leave_notices() -> Iterator[None]:
    """Note what the process is told; where it is to leave at once, raise KeyboardInterrupt, and do so only once.

    Whatever comes afterwards is ignored.
    """
    if sys.platform == "win32":
        yield
        return
    signal.signal(signal.SIGUSR2, _leave_soon)
    signal.signal(signal.SIGALRM, _leave_at_once)
    signal.signal(signal.SIGTERM, _leave_at_once)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        ignore_leave_notices()  # even where Lightning has set the handler again, that there was before a fit


def ignore_leave_notices() -> None:
    """Be deaf to further ones: this process leaves already."""
    if sys.platform != "win32":
        for number in (signal.SIGUSR2, signal.SIGALRM, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def _leave_soon(number: int, frame: FrameType | None) -> None:
    if not _is_given.is_set():
        _is_given.set()
        seconds = float(os.environ.get(NOTICE_VARIABLE, 0))
        signal.setitimer(signal.ITIMER_REAL, seconds / 2)


def _leave_at_once(number: int, frame: FrameType | None) -> None:
    _is_given.set()
    if number == signal.SIGTERM:
        _is_end_near.set()
    ignore_leave_notices()
    raise KeyboardInterrupt
