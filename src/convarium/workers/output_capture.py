"""Capture in a stage's log what the stage prints, logs and warns, from Python and from libraries in C."""

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import lru_cache
from pathlib import Path
from typing import TextIO, cast

from convarium.robust_streams import RobustStream

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class SwitchableStream(io.TextIOBase):
    """A stand-in for stdout or stderr that writes to a stage's log while one is set, else to the original.

    There is one for each original stream, which outlives the stage: a library that keeps `sys.stdout` or `sys.stderr`
    keeps that of the first stage, and has to write to the log of each later one.
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

    Args:
        path: the log; it is created where it is missing.
        whole_process: whether to capture also what goes past `sys.stdout` and `sys.stderr`: output of child processes
            and of libraries in C, and streams that were kept before the first stage. Not to be used where another
            part of the process talks to the user.
    """
    with path.open("a", encoding="utf-8", buffering=1) as file:
        log = cast(TextIO, RobustStream(file))
        descriptors = _redirect_descriptors(log.fileno()) if whole_process else nullcontext()
        with _redirect_logging(log), _redirect_streams(log), descriptors:
            yield


@contextmanager
def _redirect_streams(log: TextIO) -> Iterator[None]:
    original_stdout, original_stderr = sys.stdout, sys.stderr
    stdout = _get_switchable_stream(original_stdout)
    stderr = _get_switchable_stream(original_stderr)
    sys.stdout, sys.stderr = cast(TextIO, stdout), cast(TextIO, stderr)
    stdout.log = log
    stderr.log = log
    try:
        yield
    finally:
        stdout.log = None
        stderr.log = None
        sys.stdout, sys.stderr = original_stdout, original_stderr


@lru_cache
def _get_switchable_stream(stream: TextIO) -> SwitchableStream:
    return SwitchableStream(stream)


@contextmanager
def _redirect_logging(log: TextIO) -> Iterator[None]:
    handler = logging.StreamHandler(log)
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    root_logger = logging.getLogger()
    original_handlers = root_logger.handlers[:]
    original_level = root_logger.level
    root_logger.handlers[:] = [handler]
    root_logger.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root_logger.handlers[:] = original_handlers
        root_logger.setLevel(original_level)


@contextmanager
def _redirect_descriptors(log_descriptor: int) -> Iterator[None]:
    copies = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
    for descriptor in copies:
        os.dup2(log_descriptor, descriptor)
    try:
        yield
    finally:
        # What is still in the buffers was printed during the stage, so it goes before the descriptors lead back.
        for stream in (sys.__stdout__, sys.__stderr__):
            # A command may begin with closed streams (`>&-`): None then, or a ValueError once closed.
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()  # type: ignore[union-attr]
        for descriptor, copy in copies.items():
            os.dup2(copy, descriptor)
            os.close(copy)
