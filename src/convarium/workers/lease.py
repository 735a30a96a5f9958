"""Leases: who owns a stage's folder, by the files `lease.<n>` in it, of which the one with the highest number counts.

A lease is taken over by creating the next number, so that one of many takers wins and a stale owner notices that it
has lost. The highest lease is never removed before the result is stored.
"""

import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from convarium.host.process import Process, current_process, is_on_this_host, is_process_alive
from convarium.workers.death import UNSEEN_DEATH, Death, explain_gone_process, explain_silence, parse_death
from convarium.workers.lease_file import (
    build_lease_path,
    create_lease_file,
    find_lease_number,
    format_content,
    list_lease_numbers,
    parse_content,
    parse_owner,
    read_lease_bytes,
    remove_leases,
)

HEARTBEAT_SECONDS = 10.0
LEASE_TIMEOUT_SECONDS = 120.0  # twelve heartbeats: a disk that hangs for a minute costs no owner its lease


class LeaseLost(Exception):
    """Another worker owns the stage by now."""


@dataclass(frozen=True)
class LeaseInfo:
    """Content of the highest lease of a folder, and the state of its owner.

    Attributes:
        number: the n of `lease.<n>`, from 0.
        token: which no other lease has; "" where the content can't be read.
        state: "alive", "dead" or "released".
        run: id of the run that the owner worked for.
        deaths: how many earlier owners of the same run died since the stage's last checkpoint.
        last_death: that of the last of them.
        leaves: how many of them had to leave since, because their time was over.
        owner: None where the content can't be read.
        details: what else the owner says of itself.
    """

    number: int
    token: str
    state: str
    run: str
    deaths: int
    last_death: Death
    leaves: int
    owner: Process | None
    details: Mapping[str, Any]


class Lease:
    """A held lease; a thread rewrites its file as a heartbeat until the lease is released or removed.

    Attributes:
        folder: the stage's folder.
        number: the n of `lease.<n>`.
        token: which no other lease has: numbers begin anew once a finished result's leases are removed.
        deaths: how many earlier owners of the same run died since the stage's last checkpoint.
        last_death: that of the last of them.
        leaves: how many of them had to leave since, because their time was over.
    """

    def __init__(self, folder: Path, number: int, content: dict[str, Any], heartbeat_seconds: float) -> None:
        self.folder = folder
        self.number = number
        self.token: str = content["token"]
        self.deaths = int(content["deaths"])
        self.last_death = parse_death(content["last_death"])
        self.leaves = int(content["leaves"])
        self._content = content
        self._heartbeat_seconds = heartbeat_seconds
        self._heartbeat_count = 0
        self._has_progress = False
        self._ended = threading.Event()
        self._write_lock = threading.Lock()
        # Heartbeats go to the open file, not to its path: after a takeover they must not create the file again.
        self._descriptor = os.open(build_lease_path(folder, number), os.O_WRONLY)
        threading.Thread(target=self._send_heartbeats, daemon=True, name=f"heartbeat of {folder.name}").start()

    def check(self) -> None:
        """Return if this lease still owns the folder.

        Raises:
            LeaseLost: another worker has taken it over.
        """
        if find_lease_number(self.folder) != self.number or not self._is_file_own():
            raise LeaseLost(f"another worker has taken over {self.folder.name}")

    def _is_file_own(self) -> bool:
        # Who slept until a finished result's leases were removed may meet his own number again.
        try:
            content = parse_content(build_lease_path(self.folder, self.number).read_bytes())
        except FileNotFoundError:
            return False
        return bool(content.get("token") == self.token)

    def note_progress(self) -> None:
        """Count no earlier death or leave any more: the stage has a new checkpoint, from which it goes on."""
        self._has_progress = True
        if self.deaths == self.leaves == 0:
            return
        self.deaths = self.leaves = 0
        with self._write_lock, suppress(OSError):
            self._content |= {"deaths": 0, "leaves": 0}
            if not self._ended.is_set():
                self._write_content({**self._content, "counter": self._heartbeat_count})

    def note_time_over(self) -> None:
        """Count that the owner has to leave because its time is over, unless the stage has got on in its hands."""
        if not self._has_progress:
            self.leaves += 1
            self._content["leaves"] = self.leaves

    def note_death(self, death: Death) -> None:
        """Count that a process which the owner had started was killed, as if the owner had been."""
        self.deaths += 1
        self.last_death = death
        self._content |= {"deaths": self.deaths, "last_death": asdict(death)}

    def release(self) -> None:
        """End the lease and let another owner begin at once."""
        self._close({**self._content, "released": True})

    def remove(self) -> None:
        """End the lease of a stored result and remove the lease files: nobody needs to own the folder any more."""
        self._close()
        remove_leases(self.folder)

    def _close(self, last_content: dict[str, Any] | None = None) -> None:
        # Under the lock, since a heartbeat after os.close() would write to whatever file got the descriptor's number.
        with self._write_lock:
            if self._ended.is_set():
                return
            self._ended.set()
            if last_content is not None:
                with suppress(OSError):
                    self._write_content(last_content)
            os.close(self._descriptor)

    def _send_heartbeats(self) -> None:
        while not self._ended.wait(self._heartbeat_seconds):
            with self._write_lock, suppress(OSError):
                if not self._ended.is_set():
                    self._heartbeat_count += 1
                    self._write_content({**self._content, "counter": self._heartbeat_count})

    def _write_content(self, content: dict[str, Any]) -> None:
        os.pwrite(self._descriptor, format_content(content), 0)
        os.fsync(self._descriptor)


class LeaseManager:
    """Takes leases for one run, and remembers since when it has seen another host's lease unchanged.

    Attributes:
        run_id: id of the run that the leases are taken for.
    """

    def __init__(
        self, run_id: str, heartbeat_seconds: float = HEARTBEAT_SECONDS, timeout_seconds: float = LEASE_TIMEOUT_SECONDS
    ) -> None:
        self.run_id = run_id
        self._heartbeat_seconds = heartbeat_seconds
        self._timeout_seconds = timeout_seconds
        self._last_changes: dict[Path, tuple[bytes, float]] = {}

    def read(self, folder: Path) -> LeaseInfo | None:
        """Return the highest lease of a folder, None if there is none that can be seen.

        The content of another user's lease may be unreadable; its modification time then serves as its heartbeat.
        """
        try:
            number = find_lease_number(folder)
            if number is None:
                return None
            path = build_lease_path(folder, number)
            data = read_lease_bytes(path)
        except OSError:
            return None
        content = parse_content(data)
        return LeaseInfo(
            number=number,
            token=content.get("token", ""),
            state=self._find_state(path, data, content),
            run=content.get("run", ""),
            deaths=content.get("deaths", 0),
            last_death=parse_death(content.get("last_death")),
            leaves=content.get("leaves", 0),
            owner=parse_owner(content),
            details=content.get("details", {}),
        )

    def take(self, folder: Path, details: Mapping[str, Any] | None = None) -> Lease | None:
        """Return a new lease of the folder, None if it has a living owner or another taker was quicker.

        Args:
            details: what else its file is to say, as JSON; all of it fits into LEASE_FILE_BYTES.

        Raises:
            OSError: the lease's file can't be created.
        """
        current_lease = self.read(folder)
        if current_lease is not None and current_lease.state == "alive":
            return None
        number = 0 if current_lease is None else current_lease.number + 1
        content = {
            **asdict(current_process()), **self._count_setbacks(current_lease), "run": self.run_id, "counter": 0,
            "token": uuid4().hex,
        }  # fmt: skip
        if details is not None:
            content["details"] = details
        if not create_lease_file(folder, number, content):
            return None
        # A slow taker creates a number that an owner had and a later owner has removed: it wins nothing.
        if find_lease_number(folder) != number:
            build_lease_path(folder, number).unlink(missing_ok=True)
            return None
        for older_number in list_lease_numbers(folder):
            if older_number < number:
                with suppress(OSError):  # another user's may stay: it owns nothing any more
                    build_lease_path(folder, older_number).unlink(missing_ok=True)
        try:
            return Lease(folder, number, content, self._heartbeat_seconds)
        except FileNotFoundError:  # this process slept since, and another has taken over what had no heartbeat yet
            return None

    def mark_dead(self, folder: Path, token: str, death: Death | None = UNSEEN_DEATH) -> bool:
        """Let others take a folder at once whose owner is known to be dead.

        Creates exactly the next lease, released; whoever has taken the folder over meanwhile keeps it, and where the
        owner has stored its result meanwhile none is left. Return whether the lease is there.

        Args:
            token: of the owner's lease.
            death: how it died; None where it counts no death of the stage: its scheduler begins its job again.
        """
        lease_info = self.read(folder)
        if lease_info is None or lease_info.token != token or lease_info.state == "released":
            return False
        content = {
            **asdict(current_process()), "run": lease_info.run, "deaths": lease_info.deaths + (death is not None),
            "last_death": asdict(death or lease_info.last_death), "leaves": lease_info.leaves, "released": True,
            "token": uuid4().hex,
        }  # fmt: skip
        if not create_lease_file(folder, lease_info.number + 1, content):
            return False
        # The result may have been stored since it was read, and leases removed: their numbers begin anew.
        if _read_token(folder, lease_info.number) != token:
            build_lease_path(folder, lease_info.number + 1).unlink(missing_ok=True)
            return False
        return True

    def count_deaths(self, lease_info: LeaseInfo | None) -> int:
        """Return how many owners of this run have died since the last checkpoint, that of `lease_info` included."""
        if lease_info is None or lease_info.run != self.run_id:
            return 0
        return lease_info.deaths + (lease_info.state == "dead")

    def explain_death(self, lease_info: LeaseInfo, exit_code: int | None = None) -> Death:
        """Return how the owner of a lease died whose state is "dead".

        Args:
            exit_code: of its process, where this one is its parent; the negative of a signal.
        """
        owner = lease_info.owner
        if owner is None:
            return UNSEEN_DEATH
        if is_on_this_host(owner):
            return explain_gone_process(owner.host, lease_info.details, exit_code)
        return explain_silence(owner.host, lease_info.details, self._timeout_seconds)

    def _count_setbacks(self, lease_info: LeaseInfo | None) -> dict[str, Any]:
        """Return what the next lease says of the earlier owners of this run."""
        if lease_info is None or lease_info.run != self.run_id:
            return {"deaths": 0, "last_death": asdict(UNSEEN_DEATH), "leaves": 0}
        death = self.explain_death(lease_info) if lease_info.state == "dead" else lease_info.last_death
        return {"deaths": self.count_deaths(lease_info), "last_death": asdict(death), "leaves": lease_info.leaves}

    def _find_state(self, path: Path, data: bytes, content: dict[str, Any]) -> str:
        if content.get("released"):
            return "released"
        owner = parse_owner(content)
        if owner is not None and is_on_this_host(owner):
            return "alive" if is_process_alive(owner) else "dead"
        # Hosts' clocks differ, so no time in the file counts, only for how long this process has seen it unchanged.
        now = time.monotonic()
        last_data, changed_at = self._last_changes.get(path, (b"", now))
        if data != last_data:
            self._last_changes[path] = (data, now)
            return "alive"
        return "dead" if now - changed_at >= self._timeout_seconds else "alive"


def _read_token(folder: Path, number: int) -> str | None:
    """Return the token of a lease, "" where its content can't be read, None where it is gone."""
    try:
        data = read_lease_bytes(build_lease_path(folder, number))
    except OSError:
        return None
    token: str = parse_content(data).get("token", "")
    return token
