"""Keep working when stdout or stderr breaks: what is printed decides nothing.

A reader may end (`| head -1`), a disk fill up, a terminal close; a command may even start with closed streams (`>&-`).
"""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EPIPE
from typing import Any, TextIO, cast

from convarium.ascii_fallback import replace_unencodable


class RobustStream:
    """A stream whose writes never fail; once it is broken, what is written to it goes to the null device.

    Attributes:
        last_error: the error of the last write or flush that failed.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.last_error: Exception | None = None
        if isinstance(stream, io.TextIOWrapper):
            replace_unencodable(stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError) as error:
            self._redirect_to_devnull(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._redirect_to_devnull(error)

    def _redirect_to_devnull(self, cause: Exception) -> None:
        """Redirect the descriptor to the null device, and empty the stream's buffer into it."""
        self.last_error = cause
        with suppress(OSError, ValueError):
            devnull = os.open(os.devnull, os.O_WRONLY)
            os.dup2(devnull, self._stream.fileno())
            os.close(devnull)
            # What a failed write left in the buffer would make the next flush fail again, also Python's own at its end.
            self._stream.flush()


def install_robust_streams() -> tuple[RobustStream, RobustStream]:
    """Replace stdout and stderr by robust streams, and return these."""
    # Of closed descriptors too: the next file that is opened would get the number, and what is printed.
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(descriptor, True)
    stdout = RobustStream(sys.stdout or open(os.devnull, "w"))  # noqa: PTH123, SIM115
    stderr = RobustStream(sys.stderr or open(os.devnull, "w"))  # noqa: PTH123, SIM115
    sys.stdout, sys.stderr = cast(TextIO, stdout), cast(TextIO, stderr)
    return stdout, stderr


@contextmanager
def use_robust_streams() -> Iterator[TextIO]:
    """Make stdout and stderr robust meanwhile; yield stderr, for what must not go to a stage's log.

    If stdout failed for another reason than that its reader ended, a line on stderr says so.
    """
    original_streams = sys.stdout, sys.stderr
    stdout, stderr = install_robust_streams()
    try:
        yield cast(TextIO, stderr)
    finally:
        stdout.flush()
        if isinstance(stdout.last_error, OSError) and stdout.last_error.errno != EPIPE:
            stderr.write(f"convarium: stdout: {stdout.last_error.strerror}; the output is not complete\n")
        stderr.flush()
        sys.stdout, sys.stderr = original_streams
