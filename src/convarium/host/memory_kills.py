"""What the kernel has killed for want of memory in this process's control group, as that group counts."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")
COUNT_KEY = "oom_kill"  # of both versions


@dataclass(frozen=True)
class MemoryKills:
    """A count at some moment.

    Attributes:
        group: the inode of the control group's folder, so that counts of different groups are not compared.
        count: of processes that were killed in it since it was made.
    """

    group: int
    count: int


def read_memory_kills(root: Path = ROOT) -> MemoryKills | None:
    """Return the present count; None where this host has no such count, or it can't be read.

    Args:
        root: of the file system.
    """
    for file in _list_count_files(root):
        try:
            lines = file.read_text().splitlines()
            group = file.parent.stat().st_ino
        except OSError:
            continue
        for line in lines:
            key, _, value = line.partition(" ")
            if key == COUNT_KEY and value.isdecimal():
                return MemoryKills(group, int(value))
    return None


def has_killed_since(before: MemoryKills | None, root: Path = ROOT) -> bool:
    """Whether the count has risen since `before`; False where that can't be known."""
    now = read_memory_kills(root)
    return before is not None and now is not None and now.group == before.group and now.count > before.count


def _list_count_files(root: Path) -> Iterator[Path]:
    """Yield where the count may be: of version 2, of version 1, and of a container that shows its own group as root."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    mounts = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            groups = [mounts / path.lstrip("/"), mounts]
            yield from (group / "memory.events" for group in groups)
        elif "memory" in controllers.split(","):
            mount = mounts / "memory"
            yield from (group / "memory.oom_control" for group in (mount / path.lstrip("/"), mount))
