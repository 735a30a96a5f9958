"""The process that forks fresh ones: it imports what they need, runs nothing itself, and dies with its owner.

It reads one request a line from stdin, {"target", "arguments", "threads", "log", "allow"}, and answers with one line of
JSON on stdout: {"result"}, {"error", "kind"} or {"signal"}.
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

PR_SET_PDEATHSIG = 1

Json = dict[str, Any]


def serve() -> None:
    """Answer requests until the owner closes its end."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    install_robust_streams()
    while line := os.read(0, 1 << 16):
        while not line.endswith(b"\n"):
            line += os.read(0, 1 << 16)
        answers.write(json.dumps(_answer_request(json.loads(line))) + "\n")
        answers.flush()


def _answer_request(request: Json) -> Json:
    if request["log"]:
        log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
    try:
        module, _, name = request["target"].partition(":")
        function = getattr(import_module(module), name)
    except Exception as error:
        return _format_failure(error)
    return _run_in_fork(function, request)


def _run_in_fork(function: Callable[..., Any], request: Json) -> Json:
    reader, writer = os.pipe()
    server = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _kill_with_server(server)
        _run_as_child(function, request, writer)
    os.close(writer)
    text = _read_until_end(reader, child)
    os.close(reader)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status < 0:
        return {"signal": -status}
    answer: Json = json.loads(text) if text else {"error": f"the process ended with code {status}", "kind": "failed"}
    return answer


def _run_as_child(function: Callable[..., Any], request: Json, writer: int) -> None:
    """In the child: call the function, write what came of it, leave without any clean-up of the server's."""
    try:
        if "torch" in sys.modules and request["threads"]:
            sys.modules["torch"].set_num_threads(request["threads"])
        with allow_packages(request["allow"]):
            answer = {"result": function(*request["arguments"])}
        text = json.dumps(answer)
    except BaseException as error:
        text = json.dumps(_format_failure(error))
    try:
        with os.fdopen(writer, "w") as file:
            file.write(text)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(0)


def _read_until_end(reader: int, child_pid: int) -> bytes:
    """Return what the child writes until it ends; end both when the owner is gone."""
    text = b""
    while True:
        ready = select.select([reader, 0], [], [])[0]
        if 0 in ready and not os.read(0, 1):
            os.kill(child_pid, signal.SIGKILL)
            os._exit(1)
        if reader in ready:
            part = os.read(reader, 1 << 16)
            if not part:
                return text
            text += part


def _kill_with_server(server_pid: int) -> None:
    """Have Linux kill this process when the server dies; elsewhere the server kills it when its owner dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != server_pid:
            os._exit(1)


def _format_failure(error: BaseException) -> Json:
    traceback.print_exception(error)
    if isinstance(error, UserError):
        return {"error": str(error), "kind": "user"}
    text = str(error) if isinstance(error, StageFailed) else f"{type(error).__name__}: {error}"
    return {"error": text, "kind": "failed"}
