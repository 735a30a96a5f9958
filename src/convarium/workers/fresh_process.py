"""Functions run in processes that never saw this one's objects."""

import atexit
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from convarium.child_process import build_python_command
from convarium.errors import StageFailed, UserError
from convarium.lookup import list_allowed_packages

KILL_SETTLE_SECONDS = 0.5
SERVER_CODE = "from convarium.workers.fork_server import serve; serve()"


def run_in_fresh_process(target: str, *arguments: Any, threads: int | None = None, log: Path | None = None) -> Any:
    """Run `target` ("module:function") on JSON arguments in a fresh process and return its JSON result.

    What outside packages files may name there is what they may name here.

    The process is forked from one that has imported the function's module and done nothing else, so it costs no import
    after the first. It dies with this process.

    Raises:
        UserError, StageFailed: the function's failure, in its one line; StageFailed too if the process was killed.
    """
    request = {
        "target": target,
        "arguments": arguments,
        "threads": threads,
        "log": str(log) if log else None,
        "allow": list_allowed_packages(),
    }
    answer = _get_fork_server(os.getpid()).send_request(json.dumps(request))
    if "signal" in answer:
        time.sleep(
            KILL_SETTLE_SECONDS
        )  # a pool that kills a whole family begins with the youngest: then this one is next
        raise StageFailed(f"{target}: the process was killed by signal {answer['signal']}")
    if "error" in answer:
        raise (UserError if answer["kind"] == "user" else StageFailed)(answer["error"])
    return answer["result"]


def build_fresh_runner(threads: int, log: Path) -> Callable[..., Any]:
    """Return `run_in_fresh_process` for a stage: with its threads, and its log for what the function prints."""
    return lambda target, *arguments: run_in_fresh_process(target, *arguments, threads=threads, log=log)


def kill_fresh_processes() -> None:
    """Kill what this process runs in fresh ones; whoever waits for it hears that it was killed."""
    _get_fork_server(os.getpid()).kill()


class ForkServer:
    """A fork server of this process, started when first asked and again if it died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def send_request(self, request: str) -> dict[str, Any]:
        """Send one request, return the answer."""
        with self._lock:
            try:
                process = self._start_if_needed()
                stdin, stdout = process.stdin, process.stdout
                assert stdin is not None
                assert stdout is not None
                with suppress(BrokenPipeError):  # then it has ended, and so does what it says
                    stdin.write(request + "\n")
                    stdin.flush()
                text = stdout.readline()
            except BaseException:
                self.kill()
                raise
            if not text:
                code = process.wait()
                self.kill()
                return {"signal": -code} if code < 0 else {"error": f"the fork server ended with {code}", "kind": ""}
            answer: dict[str, Any] = json.loads(text)
            return answer

    def kill(self) -> None:
        """Kill the server, and with it what it forked."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with suppress(OSError), process:
                pass

    def _start_if_needed(self) -> "subprocess.Popen[str]":
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                build_python_command(SERVER_CODE),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,  # Ctrl-C is for its owner to hear
            )
        return self._process


@lru_cache(maxsize=1)
def _get_fork_server(pid: int) -> ForkServer:
    server = ForkServer()
    atexit.register(server.kill)
    return server
