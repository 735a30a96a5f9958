"""A stage's own log: all it prints, logs and warns, from Python and from below it."""

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TextIO, cast

from convarium.robust_streams import RobustStream

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class SwitchableStream(io.TextIOBase):
    """Stands in for stdout or stderr and leads to a stage's log while one runs.

    It outlives the stage: libraries keep the stream they met first.
    """

    def __init__(self, original: TextIO) -> None:
        self.original = original
        self.log: TextIO | None = None

    def write(self, text: str) -> int:
        return (self.log or self.original).write(text)

    def flush(self) -> None:
        (self.log or self.original).flush()

    def fileno(self) -> int:
        return self.original.fileno()

    def isatty(self) -> bool:
        return False


@contextmanager
def capture_stage_output(path: Path, whole_process: bool) -> Iterator[None]:
    """Append to `path` what this process prints, logs and warns.

    With `whole_process`, also what is written below Python, or to streams that were taken hold of earlier; not to be
    used where somebody else in the process talks to the user.
    """
    with path.open("a", encoding="utf-8", buffering=1) as file:
        log = cast(TextIO, RobustStream(file))
        with _redirect_logging(log), _redirect_streams(log):
            if whole_process:
                with _redirect_descriptors(log.fileno()):
                    yield
            else:
                yield


@contextmanager
def _redirect_streams(log: TextIO) -> Iterator[None]:
    usual = sys.stdout, sys.stderr
    turnouts = [_get_switchable_stream(stream) for stream in usual]
    sys.stdout, sys.stderr = (cast(TextIO, turnout) for turnout in turnouts)
    for turnout in turnouts:
        turnout.log = log
    try:
        yield
    finally:
        for turnout in turnouts:
            turnout.log = None
        sys.stdout, sys.stderr = usual


@lru_cache
def _get_switchable_stream(stream: TextIO) -> SwitchableStream:
    return SwitchableStream(stream)


@contextmanager
def _redirect_logging(log: TextIO) -> Iterator[None]:
    root, handler = logging.getLogger(), logging.StreamHandler(log)
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    usual, level = root.handlers[:], root.level
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.handlers[:] = usual
        root.setLevel(level)


@contextmanager
def _redirect_descriptors(log_descriptor: int) -> Iterator[None]:
    usual = {number: os.dup(number) for number in (1, 2)}
    for number in usual:
        os.dup2(log_descriptor, number)
    try:
        yield
    finally:
        for stream in (sys.__stdout__, sys.__stderr__):
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()  # type: ignore[union-attr]
        for number, copy in usual.items():
            os.dup2(copy, number)
            os.close(copy)
