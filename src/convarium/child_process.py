"""Child processes import what this one does: Python itself would put the current folder before the standard library."""

import ctypes
import json
import os
import signal
import sys
from contextlib import suppress

from convarium.errors import UserError

PR_SET_PDEATHSIG = 1
IMPORT_PATH_PREAMBLE = "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1))\n"


def complete_import_path() -> None:
    """Let this process import the user's own modules, those of the current folder last, and keep children from more.

    A file `random.py` there then hides nothing from anybody, neither from a launcher's workers (`python -m …`).

    Raises:
        UserError: the current folder is gone.
    """
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        here = os.getcwd()  # noqa: PTH109
    except OSError as error:
        raise UserError(f"the working folder can't be read: {error.strerror}; cd to one that is there") from None
    if here not in sys.path:
        sys.path.append(here)


def die_with_parent() -> None:
    """Have Linux kill this process when its parent dies; to be called between fork and exec."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def build_python_command(code: str) -> list[str]:
    """Return a command that runs `code` in a Python with this one's import path."""
    path = [os.path.abspath(entry) for entry in sys.path]  # noqa: PTH100, '' is the current folder
    return [sys.executable, "-P", "-c", IMPORT_PATH_PREAMBLE + code, json.dumps(path)]
