"""Run a function in a fresh process: one that has imported what it needs and seen none of this process's objects."""

import atexit
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from convarium.child_process import build_python_command
from convarium.errors import StageFailed, UserError
from convarium.host.memory_kills import has_killed_since, read_memory_kills
from convarium.lookup import list_allowed_packages
from convarium.workers.death import build_kill_error

KILL_SETTLE_SECONDS = 0.5
SERVER_CODE = "from convarium.workers.fork_server import serve; serve()"


def run_in_fresh_process(target: str, *arguments: Any, threads: int | None = None, log: Path | None = None) -> Any:
    """Run `target` ("module:function") on JSON arguments in a fresh process and return its JSON result.

    The process is forked from a server that has imported the function's module and done nothing else, so only the first
    call pays for the import. It dies with this process. Files may name the same outside packages there as here.

    Args:
        target: the function's module and name.
        arguments: JSON values.
        threads: for torch, where the function's module has imported it.
        log: the file that the function's output is appended to.

    Raises:
        UserError: the function raised one.
        StageFailed: the function raised any other error, or its process was killed.
    """
    request = {
        "target": target,
        "arguments": arguments,
        "threads": threads,
        "log": str(log) if log else None,
        "allow": list_allowed_packages(),
    }
    memory_kills = read_memory_kills()
    answer = _get_fork_server(os.getpid()).send_request(json.dumps(request))
    if "signal" in answer:
        # A pool that kills a whole family of processes begins with the youngest. Then this one is killed while it
        # sleeps, and does not first record a failure of its stage.
        time.sleep(KILL_SETTLE_SECONDS)
        raise build_kill_error(f"{target}: the process", answer["signal"], has_killed_since(memory_kills))
    if "error" in answer:
        error_class = UserError if answer["kind"] == "user" else StageFailed
        error = error_class(answer["error"])
        error.cause = answer["cause"]
        raise error
    return answer["result"]


def build_fresh_runner(threads: int, log: Path) -> Callable[..., Any]:
    """Return `run_in_fresh_process` with a stage's threads and log."""
    return partial(run_in_fresh_process, threads=threads, log=log)


def kill_fresh_processes() -> None:
    """Kill the fresh processes of this one; a thread that waits for an answer gets StageFailed."""
    _get_fork_server(os.getpid()).kill()


class ForkServer:
    """The owner's end of a fork server, which is started at the first request and again if it died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def send_request(self, request: str) -> dict[str, Any]:
        """Send a request (JSON on one line) and return the answer, as fork_server.py describes them."""
        with self._lock:
            try:
                process = self._start_if_needed()
                text = _exchange_lines(process, request)
            except BaseException:
                # The server still works at this request: its answer would be taken for that to the next one.
                self.kill()
                raise
            if text:
                answer: dict[str, Any] = json.loads(text)
                return answer
            exit_code = process.wait()
            self.kill()
            if exit_code < 0:
                return {"signal": -exit_code}
            return {"error": f"the fork server ended with {exit_code}", "kind": "failed", "cause": "error"}

    def kill(self) -> None:
        """Kill the server, and with it the process that it forked."""
        process = self._process
        self._process = None
        if process is not None:
            process.kill()
            # Leaving Popen's context closes the pipes (what is still unsent in one raises OSError) and waits.
            with suppress(OSError), process:
                pass

    def _start_if_needed(self) -> "subprocess.Popen[str]":
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                build_python_command(SERVER_CODE),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,  # Ctrl-C goes to a whole process group; the owner alone is to handle it
            )
        return self._process


def _exchange_lines(process: "subprocess.Popen[str]", request: str) -> str:
    """Send a line and return the line that answers it, "" if the process has ended."""
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None
    with suppress(BrokenPipeError):  # the process has ended: reading says so too
        stdin.write(request + "\n")
        stdin.flush()
    return stdout.readline()


@lru_cache(maxsize=1)
def _get_fork_server(pid: int) -> ForkServer:
    """Return the fork server of the process `pid`, this one: a forked worker must not share its parent's pipes."""
    server = ForkServer()
    atexit.register(server.kill)
    return server
