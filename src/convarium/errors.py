"""The errors by which a command fails, and how an interrupt is told from them."""


class UserError(ValueError):
    """The user's mistake, in one line: what is wrong, where, what would be right. Exit code 2.

    Attributes:
        kind: in a sweep of many points an error that has one is not a failure: the table shows the kind in the row of
            that point. None for other errors.
    """

    kind: str | None = None


class BudgetNotReachable(UserError):
    """No value of a method's knob meets the budget; the line says what can be reached."""

    kind = "not_reachable"


class ProgramNotInstalled(UserError):
    """A control or an executor needs a program that is not installed."""

    kind = "not_installed"


class HardwareNotHere(UserError):
    """No worker of the run had the hardware that a time or an execution is for."""

    kind = "no_worker"


class StageFailed(Exception):
    """A stage could not finish (the loss became NaN, a child process died), said in one line. Exit code 1."""


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
