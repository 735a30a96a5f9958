"""A disk with several clients: the functions by which Python reaches files, put in place of those of `os` and `open`.

Outside a schedule, and for files that are not a schedule's, they do what they always do. For the actor whose turn it is
each call is a step. The files are real ones in a real folder; what a host's client may keep for a while of what it saw
(names of a folder, that a file is there or not, times of change) is kept here, as network disks and FUSE do it: its own
changes it sees at once.
"""

import builtins
import errno
import fcntl
import io
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from random_schedules.scheduler import Actor, Crashed, Schedule

NAMES_OF_OS = (
    "stat", "lstat", "listdir", "scandir", "link", "unlink", "remove", "rename", "replace", "mkdir", "rmdir", "open",
    "close", "pwrite", "ftruncate", "fsync",
)  # fmt: skip
REAL = SimpleNamespace(
    **{name: getattr(os, name) for name in NAMES_OF_OS},
    **{name: getattr(time, name) for name in ("monotonic", "sleep", "clock_gettime")},
    open_file=builtins.open,
    flock=fcntl.flock,
    rmtree=shutil.rmtree,
)


@dataclass
class HostView:
    """What a host's client keeps: states and listings by path, each with the time until which it is kept."""

    states: dict[str, tuple[float, Any]] = field(default_factory=dict)
    listings: dict[str, tuple[float, list[str]]] = field(default_factory=dict)

    def forget(self, path: str) -> None:
        """Forget a path, what lies in it, and the listing of its folder."""
        parent = path.rpartition("/")[0]
        for known in [known for known in self.states if known == path or known.startswith(f"{path}/")]:
            del self.states[known]
        self.states.pop(parent, None)
        self.listings.pop(parent, None)
        self.listings.pop(path, None)


@dataclass
class Disk:
    """The files of a schedule, below `store`; those below `local` are each host's own, and seen as they are.

    Attributes:
        watchers: called with (operation, path) after each change of an actor.
        list_watchers: called with (folder, names) when an actor has listed a folder.
    """

    schedule: Schedule
    store: str
    local: str
    views: dict[str, HostView] = field(default_factory=dict)
    mtimes: dict[str, float] = field(default_factory=dict)
    watchers: list[Callable[[str, str], None]] = field(default_factory=list)
    list_watchers: list[Callable[[str, list[str]], None]] = field(default_factory=list)

    @property
    def view(self) -> HostView:
        """The view of the running actor's host."""
        assert self.schedule.running is not None
        return self.views.setdefault(self.schedule.running.host, HostView())

    def look_up(self, path: str) -> Any:
        """Return the state of a path as the running actor's host sees it."""
        until, state = self.view.states.get(path, (0.0, None))
        if until < self.schedule.now:
            try:
                real_state = REAL.stat(path)
            except OSError:
                state = None
            else:
                state = real_state
                if stat.S_ISDIR(real_state.st_mode):
                    mtime_ns = int(self.mtimes.get(path, 0.0) * 1e9)
                    state = SimpleNamespace(
                        st_mode=real_state.st_mode, st_ino=real_state.st_ino, st_dev=0, st_mtime_ns=mtime_ns
                    )
            self.view.states[path] = (self.schedule.now + self.schedule.plague.view_seconds, state)
        if state is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return state

    def list_names(self, folder: str) -> list[str]:
        """Return the names in a folder as the running actor's host sees it."""
        until, names = self.view.listings.get(folder, (0.0, []))
        if until < self.schedule.now:
            names = sorted(REAL.listdir(folder))  # sorted: drafts have random names, and a seed must mean one schedule
            self.view.listings[folder] = (self.schedule.now + self.schedule.plague.view_seconds, names)
        for watch in self.list_watchers:
            watch(folder, names)
        return list(names)

    def note_change(self, operation: str, path: str) -> None:
        """Note that the running actor has changed a path."""
        self.view.forget(path)
        unit = self.schedule.plague.mtime_seconds
        self.mtimes[path.rpartition("/")[0]] = self.schedule.now // unit * unit
        for watch in self.watchers:
            watch(operation, path)


current_disk: Disk | None = None


@contextmanager
def put_seam() -> Iterator[None]:
    """Put the seam in place."""
    replaced = [(os, name, globals()[f"_{name}"]) for name in NAMES_OF_OS]
    replaced += [
        (builtins, "open", _open_file), (io, "open", _open_file), (shutil, "rmtree", _rmtree), (fcntl, "flock", _flock),
        (time, "monotonic", _monotonic), (time, "sleep", _sleep), (time, "clock_gettime", _clock_gettime),
    ]  # fmt: skip
    originals = [(module, name, getattr(module, name)) for module, name, _ in replaced]
    for module, name, function in replaced:
        setattr(module, name, function)
    try:
        yield
    finally:
        for module, name, function in originals:
            setattr(module, name, function)


@contextmanager
def use_disk(disk: Disk) -> Iterator[None]:
    """Let the seam serve a schedule."""
    global current_disk
    current_disk = disk
    try:
        yield
    finally:
        current_disk = None


def _get_disk() -> Disk | None:
    """Return the disk if the calling thread is the actor whose turn it is."""
    return current_disk if current_disk is not None and current_disk.schedule.is_actor_calling() else None


def _find_disk(path: Any) -> tuple[Disk | None, str]:
    """Return the disk, if an actor calls and the path is one of the schedule's, and the path as text."""
    disk = _get_disk()
    if disk is None or isinstance(path, int):
        return None, ""
    text = os.fspath(path)
    return (disk, text) if isinstance(text, str) and text.startswith((disk.store, disk.local)) else (None, text)


def _begin(name: str, path: Any) -> tuple[Disk | None, str]:
    """Make a step of a call on a path; return the disk (None: the call is none of a schedule's) and the path."""
    disk, text = _find_disk(path)
    if disk is not None:
        disk.schedule.step(f"{name} {text.removeprefix(disk.store)}")
    return disk, text


def _is_shared(disk: Disk, path: str) -> bool:
    return path.startswith(disk.store)


def _stat(path: Any, *arguments: Any, **options: Any) -> Any:
    disk, text = _begin("stat", path)
    return REAL.stat(path, *arguments, **options) if disk is None or not _is_shared(disk, text) else disk.look_up(text)


def _lstat(path: Any, *arguments: Any, **options: Any) -> Any:
    disk, text = _find_disk(path)
    return REAL.lstat(path, *arguments, **options) if disk is None or not _is_shared(disk, text) else disk.look_up(text)


def _listdir(path: Any = ".") -> list[str]:
    disk, text = _begin("list", path)
    return REAL.listdir(path) if disk is None or not _is_shared(disk, text) else disk.list_names(text)


class _Entry:
    def __init__(self, disk: Disk, folder: str, name: str) -> None:
        self._disk, self.name, self.path = disk, name, f"{folder}/{name}"

    def stat(self, follow_symlinks: bool = True) -> Any:
        return self._disk.look_up(self.path)

    def is_dir(self, follow_symlinks: bool = True) -> bool:
        return stat.S_ISDIR(self._disk.look_up(self.path).st_mode)


class _Entries(list[_Entry]):
    def __enter__(self) -> "_Entries":
        return self

    def __exit__(self, *error: object) -> None:
        pass


def _scandir(path: Any = ".") -> Any:
    disk, text = _begin("list", path)
    if disk is None or not _is_shared(disk, text):
        return REAL.scandir(path)
    return _Entries(_Entry(disk, text, name) for name in disk.list_names(text))


def _link(source: Any, target: Any, **options: Any) -> None:
    disk, text = _begin("link", target)
    REAL.link(source, target, **options)
    if disk is None:
        return
    disk.note_change("link", text)
    if _is_shared(disk, text) and disk.schedule.random.random() < disk.schedule.plague.lost_reply_share:
        raise FileExistsError(errno.EEXIST, "the reply was lost and the request repeated", text)


def _change_path(name: str) -> Callable[..., Any]:
    real = getattr(REAL, name)

    def change(path: Any, *arguments: Any, **options: Any) -> None:
        disk, text = _begin(name, path)
        try:
            real(path, *arguments, **options)
        except OSError:
            if disk is not None:
                disk.view.states.pop(text, None)  # the server has told the client that it is there, or is not
            raise
        if disk is not None:
            disk.note_change(name, text)

    return change


def _move_path(name: str) -> Callable[..., Any]:
    real = getattr(REAL, name)

    def move(source: Any, target: Any, **options: Any) -> None:
        disk, text = _begin(name, target)
        real(source, target, **options)
        if disk is not None:
            disk.view.forget(os.fspath(source))
            disk.note_change(name, text)

    return move


_unlink, _remove, _mkdir, _rmdir = map(_change_path, ("unlink", "remove", "mkdir", "rmdir"))
_rename, _replace = map(_move_path, ("rename", "replace"))


def _rmtree(path: Any, *arguments: Any, **options: Any) -> None:
    disk, text = _begin("rmtree", path)
    if disk is None:
        return REAL.rmtree(path, *arguments, **options)
    running, disk.schedule.running = disk.schedule.running, None
    try:
        REAL.rmtree(path, *arguments, **options)
    finally:
        disk.schedule.running = running
    disk.note_change("rmtree", text)
    return None


def _open_file(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
    disk, text = _begin(f"open({mode})", file)
    if disk is None or not _is_shared(disk, text):
        return REAL.open_file(file, mode, *arguments, **options)
    if "r" in mode:
        disk.look_up(text)
        return REAL.open_file(file, mode, *arguments, **options)
    opened = REAL.open_file(file, mode, *arguments, **options)
    disk.note_change("write", text)
    return opened


def _open(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
    disk, text = _begin("open", path)
    descriptor: int = REAL.open(path, flags, *arguments, **options)
    if disk is not None and disk.schedule.running is not None:
        disk.schedule.running.descriptors.add(descriptor)
        if flags & os.O_CREAT:
            disk.note_change("write", text)
    return descriptor


def _close(descriptor: int) -> None:
    actor = _find_owner(descriptor)
    if actor is not None:
        if actor.is_dead:
            raise Crashed
        actor.descriptors.discard(descriptor)
    REAL.close(descriptor)


def _pwrite(descriptor: int, data: bytes, offset: int) -> int:
    _step_of_descriptor("pwrite", descriptor)
    written: int = REAL.pwrite(descriptor, data, offset)
    return written


def _ftruncate(descriptor: int, length: int) -> None:
    _step_of_descriptor("truncate", descriptor)
    REAL.ftruncate(descriptor, length)


def _flock(descriptor: int, kind: int) -> None:
    _step_of_descriptor("lock", descriptor)
    REAL.flock(descriptor, kind)


def _fsync(descriptor: int) -> None:
    """Take no time: what crashes here is a process, not the machine."""
    if current_disk is None:
        REAL.fsync(descriptor)


def _find_owner(descriptor: int) -> Actor | None:
    disk = _get_disk()
    actor = disk.schedule.running if disk is not None else None
    return actor if actor is not None and descriptor in actor.descriptors else None


def _step_of_descriptor(name: str, descriptor: int) -> None:
    disk = _get_disk()
    if disk is not None and _find_owner(descriptor) is not None:
        disk.schedule.step(name)


def _monotonic() -> float:
    disk = _get_disk()
    return REAL.monotonic() if disk is None else disk.schedule.now


def _clock_gettime(clock: int) -> float:
    disk = _get_disk()
    return REAL.clock_gettime(clock) if disk is None else disk.schedule.now


def _sleep(seconds: float) -> None:
    disk = _get_disk()
    if disk is None:
        REAL.sleep(seconds)
    else:
        disk.schedule.sleep(seconds)
