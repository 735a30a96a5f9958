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

from convarium.children import python_command
from convarium.errors import StageFailed, UserError
from convarium.names import allowed

SETTLING_SECONDS = 0.5
SERVE = "from convarium.store.fork_server import serve; serve()"


def fresh(target: str, *arguments: Any, threads: int | None = None, log: Path | None = None) -> Any:
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
        "allow": allowed(),
    }
    answer = _server(os.getpid()).ask(json.dumps(request))
    if "signal" in answer:
        time.sleep(SETTLING_SECONDS)  # a pool that kills a whole family begins with the youngest: then this one is next
        raise StageFailed(f"{target}: the process was killed by signal {answer['signal']}")
    if "error" in answer:
        raise (UserError if answer["kind"] == "user" else StageFailed)(answer["error"])
    return answer["result"]


def in_fresh(threads: int, log: Path) -> Callable[..., Any]:
    """Return `fresh` for a stage: with its threads, and its log for what the function prints."""
    return lambda target, *arguments: fresh(target, *arguments, threads=threads, log=log)


def stop_fresh() -> None:
    """Kill what this process runs in fresh ones; whoever waits for it hears that it was killed."""
    _server(os.getpid()).end()


class Server:
    """A fork server of this process, started when first asked and again if it died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def ask(self, request: str) -> dict[str, Any]:
        """Send one request, return the answer."""
        with self._lock:
            try:
                process = self._running()
                stdin, stdout = process.stdin, process.stdout
                assert stdin is not None
                assert stdout is not None
                with suppress(BrokenPipeError):  # then it has ended, and so does what it says
                    stdin.write(request + "\n")
                    stdin.flush()
                text = stdout.readline()
            except BaseException:
                self.end()
                raise
            if not text:
                code = process.wait()
                self.end()
                return {"signal": -code} if code < 0 else {"error": f"the fork server ended with {code}", "kind": ""}
            answer: dict[str, Any] = json.loads(text)
            return answer

    def end(self) -> None:
        """Kill the server, and with it what it forked."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with suppress(OSError), process:
                pass

    def _running(self) -> "subprocess.Popen[str]":
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                python_command(SERVE),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,  # Ctrl-C is for its owner to hear
            )
        return self._process


@lru_cache(maxsize=1)
def _server(process: int) -> Server:
    server = Server()
    atexit.register(server.end)
    return server
