"""Checks that take a second process of this host: of two that want the same, one gets it."""

import fcntl
import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from convarium.doctor import rival
from convarium.errors import UserError

NAME_COUNT = 200
RIVAL_TIMEOUT_SECONDS = 20.0


def count_undecided(action: str, folder: Path) -> int:
    """Have two processes at once create, or link to, the same names; return how many names not exactly one of them got.

    Args:
        action: "create" or "link".

    Raises:
        UserError: the disk refuses, or does not answer.
    """
    with ExitStack() as stack:
        rivals = [_start_rival(stack, action, str(folder), str(NAME_COUNT)) for _ in range(2)]
        for each in rivals:
            _get_stream(each.stdout).readline()  # it is ready
        for each in rivals:
            _get_stream(each.stdin).write("\n")
            _get_stream(each.stdin).flush()
        first, second = (set[int](_read_answer(each)) for each in rivals)
    return NAME_COUNT - len(first ^ second)


def check_lock(file: Path) -> None:
    """Check that what this process locks no other process of this host can lock, until this one has released it.

    Args:
        file: that is there, and that nobody else locks.

    Raises:
        UserError: that is not so.
        OSError: the disk knows no locks.
    """
    descriptor = os.open(file, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_shared = _is_lock_free(file)
    finally:
        os.close(descriptor)
    if is_shared:
        raise UserError(f"what one process locks on {file.parent} another one locks too")
    if not _is_lock_free(file):
        raise UserError(f"a lock on {file.parent} stays after its holder has released it")


def _is_lock_free(file: Path) -> bool:
    with ExitStack() as stack:
        return bool(_read_answer(_start_rival(stack, "lock", str(file))))


def _start_rival(stack: ExitStack, *arguments: str) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    command = [sys.executable, "-I", "-S", str(rival.__file__), *arguments]
    process = stack.enter_context(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True))
    stack.callback(process.kill)  # where something went wrong; else it has ended
    return process


def _read_answer(process: "subprocess.Popen[str]") -> Any:
    try:
        out, error = process.communicate(timeout=RIVAL_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        raise UserError(f"the disk has not answered for {RIVAL_TIMEOUT_SECONDS:.0f} s") from None
    if process.returncode:
        raise UserError(error.strip().rpartition("\n")[2] or f"the second process ended with {process.returncode}")
    return json.loads(out)


def _get_stream(stream: IO[str] | None) -> IO[str]:
    assert stream is not None, "it is a pipe"
    return stream
