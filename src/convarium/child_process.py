"""Start child processes that import what this one does, with the current folder after the standard library."""

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
    """Let this process import the user's modules in the current folder, which comes last on its path.

    A file `random.py` in that folder then hides no other module, from this process or from its children.

    Raises:
        UserError: the current folder is gone.
    """
    # Otherwise Python would put the current folder first for children that are started as `python -m …`: a launcher's.
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        current_folder = os.getcwd()  # noqa: PTH109
    except OSError as error:
        raise UserError(f"the working folder can't be read: {error.strerror}; cd to one that is there") from None
    if current_folder not in sys.path:
        sys.path.append(current_folder)


def die_with_parent() -> None:
    """Have Linux kill this process when its parent dies; call it between fork and exec."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def build_python_command(code: str) -> list[str]:
    """Return a command that runs `code` in a Python with this one's import path."""
    import_path = [os.path.abspath(entry) for entry in sys.path]  # noqa: PTH100, '' is the current folder
    return [sys.executable, "-P", "-c", IMPORT_PATH_PREAMBLE + code, json.dumps(import_path)]
