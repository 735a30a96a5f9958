"""The host's room: stages share it, and what takes times, or was killed twice beside others, has it to itself.

Two files that all users of a host lock make a turnstile. Who works holds `room` shared, who works alone holds it
exclusively. Who waits to be alone keeps `door` meanwhile: nobody enters past a shut door, so that the room empties.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir

from convarium.host.process import current_process, read_boot_id
from convarium.store.disk import open_shared_file

FOLDER_VARIABLE = "CONVARIUM_HOST_FOLDER"
POLL_SECONDS = 0.2
DOOR_SECONDS = 60.0  # for which the door is kept at the first try; at each further one twice as long


class HostRoom:
    """The room of this host.

    Args:
        folder: where the files lie, one for all users of the host; `CONVARIUM_HOST_FOLDER`, or /tmp.

    Raises:
        PermissionError: another user's file is not readable for all (by all methods).
    """

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or find_host_folder()
        self.room_file = folder / "convarium-room.lock"
        self.door_file = folder / "convarium-door.lock"

    def try_enter(self) -> "RoomPlace | None":
        """Return a shared place, None where the door is shut or somebody is alone in the room."""
        door = try_lock(self.door_file, fcntl.LOCK_SH)
        if door is None:
            return None
        os.close(door)
        descriptor = try_lock(self.room_file, fcntl.LOCK_SH)
        return None if descriptor is None else RoomPlace(self, descriptor, is_alone=False)

    def try_enter_alone(self) -> "RoomPlace | None":
        """Return the whole room, None where anybody is in it."""
        descriptor = try_lock(self.room_file, fcntl.LOCK_EX)
        return None if descriptor is None else RoomPlace(self, descriptor, is_alone=True)

    def wait_alone(self, is_wanted: Callable[[], bool]) -> "RoomPlace | None":
        """Keep the door shut until the room is empty; return the whole room.

        None where somebody else keeps the door, where it has to stay open, where it was kept for as long as allowed, or
        where the room is not wanted any more. The door is kept for DOOR_SECONDS, at each further try twice as long, and
        stays open for as long as it was kept, so that beside a stage of hours a host stands idle for half of
        that time at most.

        Args:
            is_wanted: asked at each look; may raise to end the waiting.
        """
        door = try_lock(self.door_file, fcntl.LOCK_EX)
        if door is None:
            return None
        try:
            last_kept_seconds, open_until = _read_door(door)
            start = _read_boot_clock()
            if start < open_until:
                return None
            allowed_seconds = 2 * last_kept_seconds or DOOR_SECONDS
            while is_wanted():
                if place := self.try_enter_alone():
                    _write_door(door, 0.0, 0.0)
                    return place
                now = _read_boot_clock()
                if now - start >= allowed_seconds:
                    _write_door(door, allowed_seconds, now + allowed_seconds)
                    return None
                time.sleep(POLL_SECONDS)
            return None
        finally:
            os.close(door)

    def describe_wait(self) -> str:
        """Return whom a process that wants the room for itself waits for, in words."""
        processes = ", ".join(map(str, self.find_occupants())) or "that can't be seen from here"
        return f"has to run alone on {current_process().host}, waits for process {processes}"

    def find_occupants(self) -> list[int]:
        """Return the process ids, as far as this process can see them, of those who are in the room."""
        try:
            inode = self.room_file.stat().st_ino
            lines = Path("/proc/locks").read_text().splitlines()
        except OSError:
            return []
        # Of a line such as "1: FLOCK  ADVISORY  READ  4711 08:01:99 0 EOF" the fifth field is the process, 0 or
        # negative where it is in a namespace that can't be seen; the sixth ends with the file's inode.
        fields = [line.split() for line in lines if " FLOCK " in line and "->" not in line]
        holders = {int(field[4]) for field in fields if field[5].rpartition(":")[2] == str(inode)}
        return sorted(holder for holder in holders if holder > 0)


class RoomPlace:
    """A place in the room, which the kernel gives back for a process that is killed.

    Attributes:
        room: the room.
        is_alone: whether it is the whole room.
    """

    def __init__(self, room: HostRoom, descriptor: int | None, is_alone: bool) -> None:
        self.room = room
        self._descriptor: int | None = descriptor
        self.is_alone = is_alone

    @staticmethod
    def without_lock(room: HostRoom) -> "RoomPlace":
        """Return a shared place that nobody sees, for a host whose files can't be opened."""
        return RoomPlace(room, None, is_alone=False)

    def leave(self) -> None:
        """Give the place back; a second time changes nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)  # which releases the lock
            self._descriptor = None

    @contextmanager
    def hold_alone(self, on_wait: Callable[[], None]) -> Iterator[None]:
        """Hold the whole room for a while, in the middle of a stage; at once where this place is the whole room.

        The shared place is given back first: of two that waited for each other to leave, neither would be alone.

        Args:
            on_wait: called at each look; may raise to end the waiting, and the place is then given back.
        """
        if self.is_alone:
            yield
            return
        self.leave()
        whole_room = _wait_until(lambda: self.room.wait_alone(lambda: _call_and_go_on(on_wait)), on_wait)
        try:
            yield
        finally:
            whole_room.leave()
        self._descriptor = _wait_until(self.room.try_enter, on_wait)._descriptor


def _wait_until(enter: Callable[[], RoomPlace | None], on_wait: Callable[[], None]) -> RoomPlace:
    while (place := enter()) is None:
        on_wait()
        time.sleep(POLL_SECONDS)
    return place


def _call_and_go_on(on_wait: Callable[[], None]) -> bool:
    on_wait()
    return True


def find_host_folder() -> Path:
    """Return the folder of the host's files. Not TMPDIR, which a scheduler may set to another one for each job."""
    if configured := os.environ.get(FOLDER_VARIABLE):
        return Path(configured)
    shared = Path("/tmp")
    return shared if os.access(shared, os.W_OK) else Path(gettempdir())


def try_lock(file: Path, kind: int) -> int | None:
    """Return the descriptor of a file that is locked now, None where another process's lock stands against it."""
    while True:
        descriptor = open_shared_file(file)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        # A cleaner of /tmp may have removed the file between opening and locking: others then lock another one.
        with suppress(FileNotFoundError):
            if os.fstat(descriptor).st_ino == file.stat().st_ino:
                return descriptor
        os.close(descriptor)


def _read_door(door: int) -> tuple[float, float]:
    """Return for how many seconds the door was kept last, and until when, on the boot's clock, it stays open."""
    try:
        state = json.loads(os.pread(door, 4096, 0))
        if state["boot"] == read_boot_id():
            return float(state["kept_seconds"]), float(state["open_until"])
    except (ValueError, TypeError, KeyError):  # a file that was just created is empty
        pass
    return 0.0, 0.0


def _write_door(door: int, kept_seconds: float, open_until: float) -> None:
    state = {"boot": read_boot_id(), "kept_seconds": kept_seconds, "open_until": open_until}
    with suppress(OSError):  # the file of another user may be open for reading only
        os.ftruncate(door, 0)
        os.pwrite(door, json.dumps(state).encode(), 0)


def _read_boot_clock() -> float:
    """Return the seconds since the host's boot, which all its processes count alike, sleep included."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # Linux only
    return time.clock_gettime(clock)
