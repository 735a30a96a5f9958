"""The identity of a process across hosts and restarts, and whether it is still alive."""

import os
import socket
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

# Places among the fields after the name in /proc/<pid>/stat, see proc_pid_stat(5): its fields 3 and 22.
STATE_FIELD = 0
START_FIELD = 19


@dataclass(frozen=True)
class Process:
    """The identity of a process; a pid alone is used again after a while.

    Attributes:
        host: the host's name.
        boot: Linux's id of the host's boot, "" elsewhere; it also tells apart hosts that share a name.
        space: Linux's pid namespace, "" elsewhere: containers on one host number their processes separately.
        pid: the process's number.
        start: when it started, in clock ticks since the boot, as Linux tells; "" elsewhere.
    """

    host: str
    boot: str
    space: str
    pid: int
    start: str


def current_process() -> Process:
    """Return this process."""
    return _identify_process(os.getpid())


def is_on_this_host(process: Process) -> bool:
    """Whether `process` runs, or ran, where this one can see it: same boot of the same host, same pid namespace."""
    this_process = current_process()
    if process.host != this_process.host:
        return False
    return process.boot == this_process.boot and process.space == this_process.space


def is_process_alive(process: Process) -> bool:
    """Whether a process of this host still runs; one that has ended but was not waited for (a zombie) does not."""
    stat_fields = _read_stat_fields(process.pid)
    if stat_fields is None:
        has_proc = Path("/proc/self/stat").exists()
        return not has_proc and _is_pid_in_use(process.pid)
    if stat_fields[STATE_FIELD] in "ZX":
        return False
    return stat_fields[START_FIELD] == process.start


@lru_cache  # by pid, so that a forked process does not get its parent's identity
def _identify_process(pid: int) -> Process:
    stat_fields = _read_stat_fields(pid)
    start = stat_fields[START_FIELD] if stat_fields else ""
    return Process(socket.gethostname(), read_boot_id(), _read_pid_namespace(), pid, start)


def _read_stat_fields(pid: int) -> list[str] | None:
    """Return the fields after the command's name in Linux's /proc/<pid>/stat, None where it can't be read."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (OSError, UnicodeDecodeError):
        return None
    # The name stands in parentheses and may hold spaces and parentheses itself.
    _, _, fields_text = text.rpartition(")")
    return fields_text.split()


def read_boot_id() -> str:
    """Return Linux's id of the host's boot, "" elsewhere."""
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
    except PermissionError:  # another user's process
        return True
    return True
