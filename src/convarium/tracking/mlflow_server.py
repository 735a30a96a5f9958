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
    """Return if a server can listen there.

    Raises:
        UserError: it can't.
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
        url: of its page.
    """

    def __init__(self, uri: str, host: str, port: int, files: Path, log: Path) -> None:
        """Start a server; the tracker's address, which may hold a password, is no argument that others could see."""
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._log = log
        settings = {"MLFLOW_BACKEND_STORE_URI": add_database_driver(uri), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        settings |= {"PYTHONSAFEPATH": "1", "UVICORN_APP_DIR": get_path("stdlib")}  # not the current folder before it
        command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [*command, "--artifacts-destination", files.as_uri()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **QUIET_ENVIRONMENT, **settings},
                start_new_session=True,
                preexec_fn=_set_parent_death_signal,
            )

    def wait_until_ready(self) -> None:
        """Return when the page can be opened.

        Raises:
            StageFailed: the server ended, or takes too long.
        """
        until = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < until and self.is_alive():
            with suppress(OSError), urlopen(f"{self.url}/health", timeout=5):
                return
            time.sleep(0.2)
        raise StageFailed(f"MLflow's server did not start; {self._log} tells why")

    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End it and all that it has started."""
        for end in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, end)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_GRACE_SECONDS)
                break
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


def _set_parent_death_signal() -> None:
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
