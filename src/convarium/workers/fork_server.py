"""The server that forks fresh processes: it imports what they need, runs nothing itself, and dies with its owner.

It reads one request a line from stdin, {"target", "arguments", "threads", "log", "allow"}, and answers with one line of
JSON on stdout: {"result"}, {"error", "kind", "cause"} or {"signal"}.
"""

import ctypes
import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from typing import Any

from convarium.errors import StageFailed, UserError
from convarium.lookup import allow_packages
from convarium.robust_streams import install_robust_streams
from convarium.workers.failure import find_cause

PR_SET_PDEATHSIG = 1  # of Linux's prctl(2)
READ_BYTES = 1 << 16  # the capacity of a pipe on Linux

Json = dict[str, Any]


def serve() -> None:
    """Answer requests until the owner closes its end of stdin."""
    # What an imported module prints must not end up among the answers: stdout becomes stderr, answers get a copy.
    answer_stream = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    install_robust_streams()
    if sys.platform != "win32":
        # A scheduler tells all processes of a job to leave soon; the owner alone is to handle it.
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    # Read without a buffer of Python's: _read_until_end asks the descriptor itself whether the owner is gone.
    while line := os.read(0, READ_BYTES):
        while not line.endswith(b"\n"):
            line += os.read(0, READ_BYTES)
        answer = _answer_request(json.loads(line))
        answer_stream.write(json.dumps(answer) + "\n")
        answer_stream.flush()


def _answer_request(request: Json) -> Json:
    # Before the import, so that the log also has what modules print and why one can't be imported.
    if request["log"]:
        log_descriptor = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        os.dup2(log_descriptor, 1)
        os.dup2(log_descriptor, 2)
        os.close(log_descriptor)
    module_name, _, function_name = request["target"].partition(":")
    try:
        function = getattr(import_module(module_name), function_name)
    except Exception as error:
        return _format_failure(error)
    return _run_in_fork(function, request)


def _run_in_fork(function: Callable[..., Any], request: Json) -> Json:
    reader, writer = os.pipe()
    server_pid = os.getpid()
    child_pid = os.fork()
    if child_pid == 0:
        os.close(reader)
        _kill_with_server(server_pid)
        _run_as_child(function, request, writer)
    os.close(writer)  # otherwise the pipe would stay open when the child ends, and reading would never stop
    text = _read_until_end(reader, child_pid)
    os.close(reader)
    _, wait_status = os.waitpid(child_pid, 0)
    exit_code = os.waitstatus_to_exitcode(wait_status)
    if exit_code < 0:
        return {"signal": -exit_code}
    if not text:
        return {"error": f"the process ended with code {exit_code}", "kind": "failed", "cause": "error"}
    answer: Json = json.loads(text)
    return answer


def _run_as_child(function: Callable[..., Any], request: Json, writer: int) -> None:
    """Call the function in the child, write its answer, and leave without the clean-up that belongs to the server."""
    try:
        if "torch" in sys.modules and request["threads"]:
            sys.modules["torch"].set_num_threads(request["threads"])
        with allow_packages(request["allow"]):
            answer = {"result": function(*request["arguments"])}
        text = json.dumps(answer)
    except BaseException as error:
        text = json.dumps(_format_failure(error))
    try:
        with os.fdopen(writer, "w") as answer_file:
            answer_file.write(text)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(0)


def _read_until_end(reader: int, child_pid: int) -> bytes:
    """Return what the child writes until it ends; kill the child and end the server when the owner is gone."""
    text = b""
    while True:
        ready_descriptors, _, _ = select.select([reader, 0], [], [])
        # The owner sends nothing while it waits for an answer, so stdin can be ready only because it was closed.
        if 0 in ready_descriptors and not os.read(0, 1):
            os.kill(child_pid, signal.SIGKILL)
            os._exit(1)
        if reader in ready_descriptors:
            part = os.read(reader, READ_BYTES)
            if not part:
                return text
            text += part


def _kill_with_server(server_pid: int) -> None:
    """Have Linux kill this process when the server dies; elsewhere the server kills it when its owner dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # A server that died before the call above sends no signal any more.
        if os.getppid() != server_pid:
            os._exit(1)


def _format_failure(error: BaseException) -> Json:
    traceback.print_exception(error)
    cause = find_cause(error)
    if isinstance(error, UserError):
        return {"error": str(error), "kind": "user", "cause": cause}
    if isinstance(error, StageFailed):
        return {"error": str(error), "kind": "failed", "cause": cause}
    return {"error": f"{type(error).__name__}: {error}", "kind": "failed", "cause": cause}
