"""What is remembered of a stage that failed: a line, and its cause as its error tells."""

import errno
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from convarium.errors import Cause, StageFailed, UserError

MAX_ERROR_LINE_CHARS = 400
# What torch, CUDA's libraries, Apple's GPUs and ONNX Runtime say in errors of a general class.
MEMORY_PHRASES = (
    "out of memory", "can't allocate memory", "Cannot allocate memory", "Failed to allocate memory", "ALLOC_FAILED",
)  # fmt: skip


class FailureNotRecorded(Exception):
    """A failure that could not even be recorded, because the store's disk refuses to be written to."""


@dataclass(frozen=True)
class Failure:
    """A failure of a stage.

    Attributes:
        line: what went wrong.
        cause: None where there is a kind.
        trace: the traceback, as text.
        mistake: whether the user can mend it; its traceback is then left out of the log.
        kind: that of a UserError that a comparison shows as a value, such as a budget out of reach.
        host: where it came about; None: here.
    """

    line: str
    cause: Cause | None = "error"
    trace: str = ""
    mistake: bool = False
    kind: str | None = None
    host: str | None = None


def build_failure(error: BaseException, hint: str = "") -> Failure:
    """Return what an error amounts to.

    Args:
        hint: what to do about it, as the end of its line.
    """
    return Failure(
        line=format_error_line(error) + hint,
        cause=find_cause(error),
        trace="".join(traceback.format_exception(error)),
        mistake=isinstance(error, UserError),
        kind=getattr(error, "kind", None),
    )


def format_error_line(error: BaseException) -> str:
    """Return what went wrong, in one line."""
    text = str(error).strip()
    line = text.splitlines()[0] if text else ""
    # Our own errors are written to be read alone; a foreign one ("'weight'") often means nothing without its type.
    if not isinstance(error, UserError | StageFailed | FailureNotRecorded):
        type_name = type(error).__name__
        line = f"{type_name}: {line}" if line else type_name
    return line[:MAX_ERROR_LINE_CHARS]


def find_cause(error: BaseException) -> Cause | None:
    """Return the cause of a failure; None where it is a value of a comparison, such as a budget out of reach."""
    if getattr(error, "kind", None) is not None:
        return None
    errors = list(_list_chain(error))
    if any(map(_is_out_of_memory, errors)):
        return "out of memory"
    return next((cause for cause in map(_read_named_cause, errors) if cause != "error"), "error")


def _list_chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that it was raised from or because of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _read_named_cause(error: BaseException) -> Cause:
    cause: Any = getattr(error, "cause", "error")
    return cause if cause in get_args(Cause) else "error"  # a foreign error may call something else so


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in MEMORY_PHRASES)
    )
