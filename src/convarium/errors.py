"""The errors by which a command fails, by what a stage fails, and how an interrupt is told from them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Cause = Literal[
    "nan",  # the loss, the weights or a figure became NaN or infinite
    "data",  # the dataset is missing, damaged or not what was declared
    "out of memory",  # of the host or of a GPU: an allocation failed, or the kernel or Slurm ended the process for it
    "time limit",  # the scheduler's time was over again and again without a checkpoint in between
    "killed",  # by a signal or by Slurm, for a reason that can't be known
    "lost node",  # the host is gone, as Slurm says, or nothing was heard of it
    "error",  # anything else
]


class UserError(ValueError):
    """The user's mistake, in one line: what is wrong, where, what would be right. Exit code 2.

    Attributes:
        kind: in a sweep of many points an error that has one is not a failure: the table shows the kind in the row of
            that point. None for other errors.
        cause: by what a stage fails that raises it.
    """

    kind: str | None = None
    cause: Cause = "error"


class BudgetNotReachable(UserError):
    """No value of a method's knob meets the budget; the line says what can be reached."""

    kind = "not_reachable"


class ProgramNotInstalled(UserError):
    """A control or an executor needs a program that is not installed."""

    kind = "not_installed"


class HardwareNotHere(UserError):
    """No worker of the run had the hardware that a time or an execution is for."""

    kind = "no_worker"


class NumberNotFinite(UserError):
    """A figure is NaN or infinite, and can be neither hashed nor stored."""

    cause = "nan"


class StageFailed(Exception):
    """A stage could not finish (the loss became NaN, a child process died), said in one line. Exit code 1."""

    def __init__(self, line: str, cause: Cause = "error") -> None:
        super().__init__(line)
        self.cause = cause


class ProcessKilled(StageFailed):
    """A process that a stage had started was killed: the stage is begun again, as where its worker is killed."""


@contextmanager
def blame_data() -> Iterator[None]:
    """Let whatever is raised meanwhile have the cause "data", the errors of outside readers included."""
    try:
        yield
    except Exception as error:
        error.cause = "data"  # type: ignore[attr-defined]
        raise


class RunCancelled(KeyboardInterrupt):
    """The run of this process was ended by `convarium cancel`, as Ctrl-C would have ended it."""


def format_first_line(error: Exception, max_chars: int = 200) -> str:
    """Return the first line of an error's message, or its type where it has none."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:max_chars]


def is_interrupt(error: BaseException | None) -> bool:
    """Whether an error is a KeyboardInterrupt or was raised because of one."""
    # Lightning turns a KeyboardInterrupt into a SystemExit or a ValueError.
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None
