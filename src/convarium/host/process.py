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


def current_process() -> Process:
    """Return this process."""
    return _identify_process(os.getpid())


def is_on_this_host(process: Process) -> bool:
    """Whether `process` runs, or ran, where this one can see it: same boot of the same host, same container."""
    mine = current_process()
    return (process.host, process.boot, process.space) == (mine.host, mine.boot, mine.space)


def is_process_alive(process: Process) -> bool:
    """Whether a process of this host still runs; a dead one that nobody has waited for does not."""
    fields = _read_stat_fields(process.pid)
    if fields is None:
        return not Path("/proc/self/stat").exists() and _is_pid_in_use(process.pid)
    return fields[0] not in "ZX" and fields[19] == process.start


@lru_cache
def _identify_process(pid: int) -> Process:
    fields = _read_stat_fields(pid)
    return Process(socket.gethostname(), _read_boot_id(), _read_pid_namespace(), pid, fields[19] if fields else "")


def _read_stat_fields(pid: int) -> list[str] | None:
    """The fields after the name in Linux's /proc/<pid>/stat: first the state, twentieth the start time."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, UnicodeDecodeError):
        return None


def _read_boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _read_pid_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _is_pid_in_use(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
