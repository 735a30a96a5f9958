"""One owner at a time: `lease.<n>` files of which the highest number owns.

A lease is created whole (a draft with its content, linked to a name that must not exist yet) and taken over by creating
the next number; so of many takers one wins, and a stale owner sees that it is one. The highest lease is never removed
before the result is there.
"""

import json
import os
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from convarium.host.process import Process, current_process, is_on_this_host, is_process_alive

HEARTBEAT_SECONDS = 10.0
LEASE_TIMEOUT_SECONDS = 120.0
LEASE_FILE_BYTES = 1024


class LeaseLost(Exception):
    """Another worker owns the stage by now."""


@dataclass(frozen=True)
class LeaseInfo:
    """What the highest lease of a folder says.

    Attributes:
        number: its generation.
        state: "alive", "dead" or "released".
        run: the run its owner belonged to.
        deaths: owners of this run that died before it.
        host: of its owner.
        pid: of its owner.
    """

    number: int
    state: str
    run: str
    deaths: int
    host: str
    pid: int


class Lease:
    """A held lease; a thread beats while it is held."""

    def __init__(self, folder: Path, number: int, content: dict[str, Any], heartbeat_seconds: float) -> None:
        self.folder, self.number, self.deaths = folder, number, int(content["deaths"])
        self._content, self._heartbeat_seconds, self._heartbeat_count = content, heartbeat_seconds, 0
        self._path = folder / f"lease.{number}"
        self._ended, self._write_lock = threading.Event(), threading.Lock()
        self._descriptor = os.open(self._path, os.O_WRONLY)
        threading.Thread(target=self._send_heartbeats, daemon=True, name=f"beat {folder.name}").start()

    def check(self) -> None:
        """Return if this lease still owns the folder.

        Raises:
            LeaseLost: it does not.
        """
        if find_lease_number(self.folder) != self.number:
            raise LeaseLost(f"another worker has taken over {self.folder.name}")

    def release(self) -> None:
        """Let another owner begin at once."""
        self._close({**self._content, "released": True})

    def remove(self) -> None:
        """End the lease of a result that is there: nobody needs to own it any more."""
        self._close(None)
        remove_leases(self.folder)

    def _close(self, last_content: dict[str, Any] | None) -> None:
        with self._write_lock:
            if not self._ended.is_set():
                self._ended.set()
                with suppress(OSError):
                    self._write_content(last_content or self._content)
                os.close(self._descriptor)

    def _send_heartbeats(self) -> None:
        while not self._ended.wait(self._heartbeat_seconds):
            with self._write_lock, suppress(OSError):
                if not self._ended.is_set():
                    self._heartbeat_count += 1
                    self._write_content({**self._content, "counter": self._heartbeat_count})

    def _write_content(self, content: dict[str, Any]) -> None:
        os.pwrite(self._descriptor, _format_content(content), 0)
        os.fsync(self._descriptor)


class LeaseManager:
    """Takes leases for a run, and remembers how long it has seen a foreign one unchanged."""

    def __init__(
        self, run_id: str, heartbeat_seconds: float = HEARTBEAT_SECONDS, timeout_seconds: float = LEASE_TIMEOUT_SECONDS
    ) -> None:
        self.run_id, self._heartbeat_seconds, self._timeout_seconds = run_id, heartbeat_seconds, timeout_seconds
        self._last_seen: dict[Path, tuple[bytes, float]] = {}

    def read(self, folder: Path) -> LeaseInfo | None:
        """Return what the highest lease of a folder says, None if there is none, or none to be seen.

        A lease that can't be read (another user's) tells by its time of change that its owner lives.
        """
        try:
            number = find_lease_number(folder)
            if number is None:
                return None
            path = folder / f"lease.{number}"
            text = _read_lease_bytes(path)
        except OSError:
            return None
        content = _parse_content(text)
        said = {"run": "", "deaths": 0, "host": "", "pid": 0}
        return LeaseInfo(
            number, self._find_state(path, text, content), **{key: content.get(key, said[key]) for key in said}
        )

    def take(self, folder: Path) -> Lease | None:
        """Return a new lease of the folder, None if somebody owns it or was quicker.

        Raises:
            OSError: the folder takes no lease.
        """
        claim = self.read(folder)
        if claim is not None and claim.state == "alive":
            return None
        number = 0 if claim is None else claim.number + 1
        content = {**asdict(current_process()), "run": self.run_id, "deaths": self.count_deaths(claim), "counter": 0}
        if not _create_lease_file(folder, number, content):
            return None
        if find_lease_number(folder) != number:
            (folder / f"lease.{number}").unlink(missing_ok=True)
            return None
        for older in _list_lease_numbers(folder):
            if older < number:
                with suppress(OSError):  # another user's may stay: it owns nothing any more
                    (folder / f"lease.{older}").unlink(missing_ok=True)
        return Lease(folder, number, content, self._heartbeat_seconds)

    def count_deaths(self, lease_info: LeaseInfo | None) -> int:
        """Return how many owners of this run have died over a stage, the one of `lease_info` included."""
        if lease_info is None or lease_info.run != self.run_id:
            return 0
        return lease_info.deaths + (lease_info.state == "dead")

    def _find_state(self, path: Path, text: bytes, content: dict[str, Any]) -> str:
        if content.get("released"):
            return "released"
        owner = _parse_owner(content)
        if owner is not None and is_on_this_host(owner):
            return "alive" if is_process_alive(owner) else "dead"
        now = time.monotonic()
        seen, since = self._last_seen.get(path, (b"", now))
        if seen != text:
            self._last_seen[path] = (text, now)
            return "alive"
        return "dead" if now - since >= self._timeout_seconds else "alive"


def find_lease_number(folder: Path) -> int | None:
    """Return the number of the lease that owns a folder, None if there is none."""
    return max(_list_lease_numbers(folder), default=None)


def remove_leases(folder: Path) -> None:
    """Remove the leases of a result that is there; what refuses stays."""
    for number in _list_lease_numbers(folder):
        with suppress(OSError):
            (folder / f"lease.{number}").unlink(missing_ok=True)


def is_leased(folder: Path) -> bool:
    """Whether some lease in a folder is one, and not only called so."""
    for number in _list_lease_numbers(folder):
        with suppress(OSError):
            if _parse_owner(_parse_content((folder / f"lease.{number}").read_bytes())) is not None:
                return True
    return False


def _read_lease_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (PermissionError, IsADirectoryError):
        return str(path.stat().st_mtime_ns).encode()


def _list_lease_numbers(folder: Path) -> list[int]:
    try:
        names = [entry.name for entry in folder.iterdir()]
    except FileNotFoundError:
        return []
    return [int(name[6:]) for name in names if name.startswith("lease.") and name[6:].isdigit()]


def _create_lease_file(folder: Path, number: int, content: dict[str, Any]) -> bool:
    draft = folder / f".lease.{uuid4().hex}"
    try:
        draft.write_bytes(_format_content(content))
        os.link(draft, folder / f"lease.{number}")
    except (FileExistsError, FileNotFoundError):  # somebody was quicker, even to finish and clear
        return False
    finally:
        draft.unlink(missing_ok=True)
    return True


def _format_content(content: dict[str, Any]) -> bytes:
    """Always of one length, so that a reader meets the old or the new content."""
    return json.dumps(content).encode().ljust(LEASE_FILE_BYTES)


def _parse_content(text: bytes) -> dict[str, Any]:
    with suppress(ValueError):
        content = json.loads(text)
        if isinstance(content, dict):
            return content
    return {}


def _parse_owner(content: dict[str, Any]) -> Process | None:
    try:
        return Process(**{key: content[key] for key in Process.__dataclass_fields__})
    except KeyError:
        return None
