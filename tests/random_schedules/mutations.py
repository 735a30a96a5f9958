"""Known mistakes, put into the code for a while: schedules must find each of them."""

import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from convarium.host import room
from convarium.store import disk
from convarium.workers import lease, open_plan, open_run, run_stage, worker


@dataclass(frozen=True)
class Mutation:
    """A mistake: in the source of a function, or a method of `owner`, one text stands in place of another."""

    told: str
    owner: Any
    function: str
    old: str
    new: str

    @contextmanager
    def apply(self) -> Iterator[None]:
        """Let the function be the wrong one."""
        original = inspect.getattr_static(self.owner, self.function)
        source = textwrap.dedent(inspect.getsource(original))
        assert source.count(self.old) == 1, f"{self.told}: the code has changed"
        scope = dict(vars(inspect.getmodule(original)))
        exec(source.replace(self.old, self.new), scope)
        with patch.object(self.owner, self.function, scope[self.function]):
            yield


WORKER_MUTATIONS = (
    Mutation(
        "the folder is not listed after the lease, done.json is looked for as before",
        worker.Worker, "_run_leased",
        "os.listdir(lease.folder)", "[RECORD_FILE] * _holds_result(lease.folder)",
    ),
    Mutation(
        "the lease is not looked at before the record",
        run_stage.StageRun, "_publish",
        "disk.sync_folder(self.folder)\n    self.lease.check()", "disk.sync_folder(self.folder)",
    ),
    Mutation(
        "the lease is never looked at",
        lease.Lease, "check",
        "find_lease_number(self.folder) != self.number or not self._is_file_own()", "False",
    ),
    Mutation(
        "of a lease only the number is looked at",
        lease.Lease, "check",
        "or not self._is_file_own()", "",
    ),
    Mutation(
        "an owner of another host counts as dead once it has not changed for 5 s",
        lease.LeaseManager, "_find_state",
        ">= self._timeout_seconds", ">= 5.0",
    ),
    Mutation(
        "an owner of this host counts as dead",
        lease.LeaseManager, "_find_state",
        '"alive" if is_process_alive(owner)', '"alive" if False',
    ),
    Mutation(
        "a record replaces another",
        disk, "publish_json",
        "os.link(draft, path)", "os.replace(draft, path)",
    ),
    Mutation(
        "a link whose reply was lost counts as another's",
        lease, "create_lease_file",
        "return path.read_bytes() == data", "return False",
    ),
    Mutation(
        "a taker does not look whether its number is the highest",
        lease.LeaseManager, "take",
        "find_lease_number(folder) != number", "False",
    ),
    Mutation(
        "the leases go before the record is there",
        run_stage.StageRun, "_publish",
        "disk.publish_json(self.files.record, record)\n    self.finish()",
        "self.finish()\n    disk.publish_json(self.files.record, record)",
    ),
    Mutation(
        "a dead owner's lease is never taken over",
        lease.LeaseManager, "take",
        '.state == "alive"', '.state != "released"',
    ),
    Mutation(
        "who is known to be dead is looked for by the highest lease, whoever has it by now",
        lease.LeaseManager, "mark_dead",
        "lease_info.token != token", "False",
    ),
    Mutation(
        "a worker clears away the work folders of all others",
        run_stage.StageRun, "_build_runtime",
        "<= self.lease.number", ">= 0",
    ),
    Mutation(
        "what needs the room alone enters it shared",
        worker.Worker, "_is_exclusive",
        "self._needs_quiet_host(node)", "False",
    ),
)  # fmt: skip
ROOM_MUTATIONS = (
    Mutation(
        "who waits does not keep the door",
        room.HostRoom, "wait_alone",
        "try_lock(self.door_file, fcntl.LOCK_EX)", "try_lock(self.door_file, fcntl.LOCK_SH)",
    ),
    Mutation(
        "the door is kept for ever",
        room.HostRoom, "wait_alone",
        "now - start >= allowed_seconds", "False",
    ),
    Mutation(
        "the door does not stay open afterwards",
        room.HostRoom, "wait_alone",
        "start < open_until", "False",
    ),
    Mutation(
        "who is alone holds the room shared",
        room.HostRoom, "try_enter_alone",
        "fcntl.LOCK_EX", "fcntl.LOCK_SH",
    ),
    Mutation(
        "who enters does not look at the door",
        room.HostRoom, "try_enter",
        "door is None:\n        return None\n    os.close(door)", "door is not None:\n        os.close(door)",
    ),
)  # fmt: skip
CONTROLLER_MUTATIONS = (
    Mutation(
        "a controller does not look at its lease before it changes the plan",
        open_run.OpenRun, "change_plan",
        "self._owner.check()", "pass",
    ),
    Mutation(
        "a worker follows the plan whose count is highest, whoever wrote it",
        open_plan, "find_newest_version",
        "max(_iterate_versions(folder), default=None)",
        "max(_iterate_versions(folder), key=lambda version: version[1], default=None)",
    ),
)  # fmt: skip
