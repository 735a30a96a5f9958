"""The output of exporters and loaders: suppressed while they work, reduced to one line where they fail."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO

MAX_CAUSE_CHARS = 200


@contextmanager
def suppress_output() -> Iterator[None]:
    """Discard what the body prints, warns and logs; exceptions pass."""
    disabled_level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled_level)


def format_root_cause(error: BaseException) -> str:
    """Return type and first line of the innermost explicit cause of an error, at most MAX_CAUSE_CHARS of the line."""
    # torch's exporters wrap the reason in errors of their own, each with pages of advice.
    while (cause := error.__cause__) is not None:
        error = cause
    type_name = type(error).__name__
    for line in str(error).splitlines():
        if line.strip():
            return f"{type_name}: {line.strip()[:MAX_CAUSE_CHARS]}"
    return type_name
