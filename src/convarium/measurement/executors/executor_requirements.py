"""Check that this machine has what an executor needs; called before anything trains, so without torch."""

import os
import shutil
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from convarium.errors import ProgramNotInstalled

COMPILED_EXECUTOR = "measurement.executors: compiled"


def require_installed(executors: Iterable[str]) -> None:
    """Check that executors can run on this machine.

    Raises:
        ProgramNotInstalled: torch.compile makes C++, and there is no compiler for it, or Python's headers are missing.
    """
    if "compiled" in executors:
        compiler = os.environ.get("CXX") or "g++"
        if shutil.which(compiler) is None:
            raise ProgramNotInstalled(
                f"{COMPILED_EXECUTOR} needs a C++ compiler, {compiler} is not installed: apt-get install g++"
            )
        if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
            raise ProgramNotInstalled(
                f"{COMPILED_EXECUTOR} needs Python's headers, which are not installed: apt-get install python3-dev"
            )
