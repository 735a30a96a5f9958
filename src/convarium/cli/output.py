"""Output streams: one JSON document or the tables go to stdout, everything else to stderr."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def redirect_to_stderr() -> Iterator[None]:
    """Send what this process and its children print meanwhile to stderr."""
    if not _is_process_stdout(sys.stdout):
        with redirect_stdout(sys.stderr):
            yield
        return
    # The descriptor itself, because children and C libraries write to it and not to sys.stdout.
    print(end="", flush=True)
    stdout_copy = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        print(end="", flush=True)
        os.dup2(stdout_copy, 1)
        os.close(stdout_copy)


def _is_process_stdout(stream: TextIO) -> bool:
    """Whether a stream is the process's own stdout, and not what a test or a notebook has put in its place."""
    try:
        return stream.fileno() == 1
    except (OSError, ValueError):
        return False


def print_json(content: Any) -> None:
    """Print one JSON document on stdout."""
    print(json.dumps(content, indent=2, allow_nan=False))


def build_console(to_stderr: bool = False) -> "Console":
    """Return a console of rich; where its stream is not a terminal, plain and 200 columns wide."""
    from rich.console import Console

    stream = sys.stderr if to_stderr else sys.stdout
    return Console(file=stream, highlight=False, soft_wrap=False, width=None if stream.isatty() else 200)
