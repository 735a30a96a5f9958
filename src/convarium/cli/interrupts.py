"""Ctrl-C, a closed terminal and a request to end are one thing: an interrupt. What is ignored (nohup) stays ignored."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if sys.platform != "win32" else ()))
EXIT_CODE = 130


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt on the first signal meanwhile; the next one ends the process, should that take long."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in usual.items():
        if handler not in (signal.SIG_IGN, None):
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in usual.items():
            if signal.getsignal(number) is interrupt:
                signal.signal(number, handler)
            elif signal.getsignal(number) is _leave:
                signal.signal(number, signal.SIG_IGN)  # the end has come, and its exit code stands


def interrupt(number: int, frame: FrameType | None) -> None:
    """Handle a signal: raise KeyboardInterrupt; whoever asks again does not want to wait.

    Workers and the processes they fork die with this one, and no kill loses what is stored.
    """
    for each in SIGNALS:
        if signal.getsignal(each) is interrupt:
            signal.signal(each, _leave)
    raise KeyboardInterrupt


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(EXIT_CODE)
