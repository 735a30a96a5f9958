"""What is said decides nothing: a stream that breaks is left, and the work goes on.

A reader may go (`| head -1`), a disk fill up, a terminal close; a command may even begin with closed streams (`>&-`).
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
    """A stream whose writes never fail; once it has broken, all that goes to it goes nowhere.

    Attributes:
        last_error: what broke it last.
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
        """Lead the descriptor to nowhere, and there what is still in the buffer."""
        self.last_error = cause
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            self._stream.flush()


def install_robust_streams() -> tuple[RobustStream, RobustStream]:
    """Put streams that last in the place of stdout and stderr; return them."""
    for number in (0, 1, 2):  # or the next files that are opened would take the numbers that are closed
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)
    out, error = (RobustStream(stream or open(os.devnull, "w")) for stream in (sys.stdout, sys.stderr))  # noqa: PTH123, SIM115
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, error)
    return out, error


@contextmanager
def use_robust_streams() -> Iterator[TextIO]:
    """Make stdout and stderr last meanwhile; yield stderr, for what must not go to a stage's log.

    A stdout that refused what it was sent for another reason than that nobody reads it is told on stderr.
    """
    usual = sys.stdout, sys.stderr
    out, error = install_robust_streams()
    try:
        yield cast(TextIO, error)
    finally:
        out.flush()
        if isinstance(out.last_error, OSError) and out.last_error.errno != EPIPE:
            error.write(f"convarium: stdout: {out.last_error.strerror}; not all was said\n")
        error.flush()
        sys.stdout, sys.stderr = usual
