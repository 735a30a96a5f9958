"""MLflow's own server on a tracker's database, as a child process that ends with this one."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from sysconfig import get_path
from urllib.request import urlopen

from convarium.errors import StageFailed, UserError
from convarium.tracking.tracker import QUIET_ENVIRONMENT
from convarium.tracking.tracker_address import add_database_driver

START_TIMEOUT_SECONDS = 180.0
STOP_GRACE_SECONDS = 10.0
PR_SET_PDEATHSIG = 1


def check_port_free(host: str, port: int) -> None:
    """Return if a server can listen on a port.

    Raises:
        UserError: it is in use, not allowed, or no port.
    """
    try:
        with socket.create_server((host, port)):
            return
    except OSError as error:
        raise UserError(f"--port {port}: {host}:{port} can't be listened on: {error.strerror or error}") from None
    except OverflowError:
        raise UserError(f"--port {port}: expected a port from 1 to 65535") from None


class MlflowServer:
    """A running server.

    Attributes:
        url: address of its page.
    """

    def __init__(self, uri: str, host: str, port: int, files: Path, log: Path) -> None:
        """Start a server on the database of `uri`, which lists files below `files` and writes its output to `log`."""
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._log = log
        environment = {
            **os.environ,
            **QUIET_ENVIRONMENT,
            # Not an argument, since a list of processes would show its password to everybody.
            "MLFLOW_BACKEND_STORE_URI": add_database_driver(uri),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            # Python and Uvicorn would each put the current folder first on the import path, with a user's `random.py`.
            "PYTHONSAFEPATH": "1",
            "UVICORN_APP_DIR": get_path("stdlib"),
        }
        command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"]
        command += ["--artifacts-destination", files.as_uri()]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
                preexec_fn=_set_parent_death_signal,
            )

    def wait_until_ready(self) -> None:
        """Return when the page can be opened.

        Raises:
            StageFailed: the server ended, or takes too long.
        """
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < deadline and self.is_alive():
            with suppress(OSError), urlopen(f"{self.url}/health", timeout=5):
                return
            time.sleep(0.2)
        raise StageFailed(f"MLflow's server did not start; {self._log} says why")

    def is_alive(self) -> bool:
        """Whether the server still runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the server and all processes that it has started."""
        for signal_number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal_number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_GRACE_SECONDS)
                break
        with suppress(ProcessLookupError):  # others of its process group may have outlived it
            os.killpg(self._process.pid, signal.SIGKILL)


def _set_parent_death_signal() -> None:
    """Let the kernel end this process when its parent dies; Linux only."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
