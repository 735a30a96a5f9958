"""What a worker waits for, as a line in its run's folder, so that nobody waits in silence."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from convarium.store import disk

# Shorter waits are not worth a line. With the sleep of the waiter and of the controller it is said within 5 s.
NOTICE_SECONDS = 3.0


class WaitNotice:
    """A line of text in a file, written once a wait has lasted NOTICE_SECONDS and removed at its end.

    A wait begins when the notice is built, and anew whenever it is cleared.

    Args:
        print_line: also called with the line, by a worker that has a terminal of its own.
    """

    def __init__(self, file: Path, print_line: Callable[[str], None] | None = None) -> None:
        self._file = file
        self._print_line = print_line
        self._start = time.monotonic()
        self._is_written = False

    def update(self, describe: Callable[[], str]) -> None:
        """Write what `describe` returns, if the wait is long enough by now and nothing was written yet."""
        if not self._is_written and time.monotonic() - self._start >= NOTICE_SECONDS:
            self._is_written = True
            line = describe()
            if self._print_line is not None:
                self._print_line(line)
            with suppress(OSError):
                disk.write_bytes(self._file, line.encode())

    def clear(self) -> None:
        """Remove the line: the wait is over."""
        self._start = time.monotonic()
        if self._is_written:
            self._is_written = False
            with suppress(OSError):
                self._file.unlink()


class WaitPrinter:
    """Prints the waits of a run, each line once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._printed_lines: set[str] = set()

    def print_new(self, lines: Iterable[str]) -> None:
        """Print those that were not printed before."""
        for line in lines:
            if line not in self._printed_lines:
                self._printed_lines.add(line)
                print(line, file=self._stream, flush=True)
