"""The ways a command can end badly."""


class UserError(ValueError):
    """The user's mistake, said in one line: what is wrong, where, what would be right. Exit code 2.

    In a sweep of many points an error with a `kind` is no failure but a value: what the table says of that point.
    """

    kind: str | None = None


class BudgetNotReachable(UserError):
    """No value of a method's knob meets the budget; the line names what can be reached."""

    kind = "not_reachable"


class ProgramNotInstalled(UserError):
    """A control needs a program that is not here."""

    kind = "not_installed"


class StageFailed(Exception):
    """A stage could not finish (the loss became NaN, a child process died), said in one line. Exit code 1."""


def format_first_line(error: Exception, max_chars: int = 200) -> str:
    """Return the first line of an error's message, or its type where it has none."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:max_chars]


def is_interrupt(error: BaseException | None) -> bool:
    """Whether an error is a KeyboardInterrupt, or came of one: Lightning makes SystemExit or ValueError of it."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None
