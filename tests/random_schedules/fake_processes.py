"""Processes and heartbeats as a schedule plays them: who is alive, where, and when a lease's thread goes on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from convarium.host import process, room
from convarium.host.process import Process
from convarium.workers import lease
from random_schedules.scheduler import Schedule


class FakeEvent:
    """The event of a lease, which lets its thread beat once where the schedule says so."""

    def __init__(self) -> None:
        self._is_set = False
        self._waits = 0

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True

    def wait(self, seconds: float) -> bool:
        self._waits += 1
        return self._is_set or self._waits % 2 == 0


class FakeLock:
    """The lock of a lease's file; a heartbeat that meets it taken comes at the next opportunity."""

    def __init__(self) -> None:
        self.is_taken = False

    def __enter__(self) -> None:
        self.is_taken = True

    def __exit__(self, *error: object) -> None:
        self.is_taken = False


class FakeHeartbeat:
    """The thread of a lease."""

    def __init__(self, schedule: Schedule, send_heartbeats: Callable[[], None]) -> None:
        self._schedule, self._send_heartbeats = schedule, send_heartbeats
        self._lease: Any = send_heartbeats.__self__  # type: ignore[attr-defined]
        self.sent_at: list[float] = []

    def start(self) -> None:
        """Let the running actor's heartbeats include this lease's."""
        assert self._schedule.running is not None
        self._schedule.running.beats.append(self)

    def belongs_to(self, folder: str, number: int) -> bool:
        """Whether it is that of a lease."""
        return str(self._lease.folder) == folder and self._lease.number == number

    def beat(self) -> None:
        """Send one heartbeat."""
        if not self._lease._write_lock.is_taken and not self._lease._ended.is_set():
            self._send_heartbeats()
            self.sent_at.append(self._schedule.now)


@contextmanager
def put_fake_processes(schedule: Schedule, local: Path) -> Iterator[None]:
    """Let the actors of a schedule be processes of their hosts, each host with a folder of its own below `local`."""

    def identify_process(pid: int) -> Process:
        return schedule.running.process if schedule.running else Process("controller", "boot", "", 1, "")

    def read_stat_fields(pid: int) -> list[str] | None:
        actor = schedule.find_process(pid)
        return None if actor is None else ["S", *[""] * (process.START_FIELD - 1), actor.process.start]

    def find_host_folder() -> Path:
        folder = local / identify_process(0).host
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    threads = SimpleNamespace(
        Event=FakeEvent, Lock=FakeLock, Thread=lambda target, **options: FakeHeartbeat(schedule, target)
    )
    with (
        patch.object(lease, "threading", threads),
        patch.object(process, "_identify_process", identify_process),
        patch.object(process, "_read_stat_fields", read_stat_fields),
        patch.object(room, "find_host_folder", find_host_folder),
    ):
        yield
