"""Which process is meant, and whether it is still alive."""

import os
import socket
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process, told from every other: a number alone comes back after a while."""

    host: str
    boot: str
    space: str
    pid: int
    start: str


def current() -> Process:
    """Return this process."""
    return _process(os.getpid())


def is_here(process: Process) -> bool:
    """Whether `process` runs, or ran, where this one can see it: same boot of the same host, same container."""
    mine = current()
    return (process.host, process.boot, process.space) == (mine.host, mine.boot, mine.space)


def is_alive(process: Process) -> bool:
    """Whether a process of this host still runs; a dead one that nobody has waited for does not."""
    fields = _stat(process.pid)
    if fields is None:
        return not Path("/proc/self/stat").exists() and _answers(process.pid)
    return fields[0] not in "ZX" and fields[19] == process.start


@lru_cache
def _process(pid: int) -> Process:
    fields = _stat(pid)
    return Process(socket.gethostname(), _boot(), _space(), pid, fields[19] if fields else "")


def _stat(pid: int) -> list[str] | None:
    """The fields after the name in Linux's /proc/<pid>/stat: first the state, twentieth the start time."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, UnicodeDecodeError):
        return None


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _space() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
