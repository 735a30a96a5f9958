"""The two ways a command can end badly."""


class UserError(ValueError):
    """The user's mistake, said in one line: what is wrong, where, what would be right. Exit code 2."""


class StageFailed(Exception):
    """A stage could not finish (the loss became NaN, a child process died), said in one line. Exit code 1."""
