"""Ctrl-C, a closed terminal and a request to end are one thing: an interrupt. What is ignored (nohup) stays ignored."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if sys.platform != "win32" else ()))
INTERRUPT_EXIT_CODE = 130


@contextmanager
def handle_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt on the first signal; a second one ends the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old_handlers = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in old_handlers.items():
        if handler not in (signal.SIG_IGN, None):
            signal.signal(number, raise_interrupt)
    try:
        yield
    finally:
        for number, handler in old_handlers.items():
            if signal.getsignal(number) is raise_interrupt:
                signal.signal(number, handler)
            elif signal.getsignal(number) is _exit_at_once:
                signal.signal(number, signal.SIG_IGN)  # the end has come, and its exit code stands


def raise_interrupt(number: int, frame: FrameType | None) -> None:
    """Handle a signal: raise KeyboardInterrupt, and let the next signal end the process at once.

    Workers and the processes they fork die with this one, and a kill loses nothing that is stored.
    """
    for other_number in SIGNALS:
        if signal.getsignal(other_number) is raise_interrupt:
            signal.signal(other_number, _exit_at_once)
    raise KeyboardInterrupt


def _exit_at_once(number: int, frame: FrameType | None) -> None:
    os._exit(INTERRUPT_EXIT_CODE)
