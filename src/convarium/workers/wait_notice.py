"""What a worker waits for, as a line in its run's folder, so that nobody waits in silence."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

NOTICE_SECONDS = 5.0  # shorter waits are not worth a line


class WaitNotice:
    """A line of text in a file, written once a wait has lasted NOTICE_SECONDS and removed at its end."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._start = time.monotonic()
        self._is_written = False

    def update(self, describe: Callable[[], str]) -> None:
        """Write what `describe` returns, if the wait is long enough by now and nothing was written yet."""
        if not self._is_written and time.monotonic() - self._start >= NOTICE_SECONDS:
            self._is_written = True
            with suppress(OSError):
                self._file.write_text(describe(), encoding="utf-8")

    def clear(self) -> None:
        """Remove the line: the wait is over."""
        if self._is_written:
            with suppress(OSError):
                self._file.unlink()
