"""A worker: takes one ready node after another that no other worker owns, until none is left."""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

from convarium.host.devices import THREAD_VARIABLES
from convarium.host.hardware import Hardware, describe_wanted, read_hardware
from convarium.host.process import current_process, is_on_this_host
from convarium.host.room import HostRoom, RoomPlace
from convarium.planning.plan import Node
from convarium.store import disk
from convarium.store.result_folder import RECORD_FILE
from convarium.store.store import Store
from convarium.workers.death import build_memory_details
from convarium.workers.giving_up import DEATHS_UNTIL_FAILED, record_deaths
from convarium.workers.lease import LEASE_TIMEOUT_SECONDS, LeaseInfo, LeaseManager
from convarium.workers.node_queue import NodeQueue
from convarium.workers.plan_follower import PlanFollower
from convarium.workers.run_file import Run
from convarium.workers.run_stage import StageRun
from convarium.workers.slurm_job import build_job_details
from convarium.workers.uncontrolled_run import UncontrolledRun
from convarium.workers.wait_notice import WaitNotice

MIN_SLEEP_SECONDS, MAX_SLEEP_SECONDS = 0.1, 1.0
# A node that was running at two deaths may have run out of memory next to others: it gets one try with no other node.
DEATHS_UNTIL_ALONE = DEATHS_UNTIL_FAILED - 1


class Worker:
    """A worker of one run; it adds a line to `failures` for each node that fails in its hands.

    Args:
        number: its backend's, by which workers divide the order of nodes among themselves.
        wait_notice: says whom it waits for.
        hardware: what it has of what times and executions are for; it leaves to others what is for something else.
    """

    def __init__(
        self,
        run: Run,
        failures: list[str],
        number: int = 0,
        wait_notice: WaitNotice | None = None,
        hardware: Hardware | None = None,
    ) -> None:
        self.run = run
        self.failures = failures
        self.wait_notice = wait_notice or run.build_wait_notice(f"worker-{number}")
        self._wait_reason = ""
        self.store = Store(run.store)
        self.plan_follower = PlanFollower(run)
        self.leases = LeaseManager(run.id)
        self.room = HostRoom()
        self.hardware = hardware or read_hardware()
        plan = self.plan_follower.plan
        self.queue = NodeQueue(
            plan, self.store, run.id, run.workers, number % run.workers, run.is_open, self._has_hardware_for
        )
        self._job_details = build_job_details(run.id)
        has_jobs = run.owner is not None and run.scheduler is not None and not run.is_open
        self._uncontrolled_run = UncontrolledRun(run) if has_jobs else None
        self._unshown: set[str] = set()  # signatures of results that were listed, but that the disk does not show yet

    def run_ready_nodes(self) -> None:
        """Run one ready node after another; sleep while others own all that are ready.

        Raises:
            WorkerStopped: the run was stopped or interrupted in the middle of a stage.
            FailureNotRecorded: the failure of a stage could not be written down.
            OSError: the store's disk is full or read-only.
        """
        self._set_thread_variables()
        try:
            self._work_until_finished()
        finally:
            self.wait_notice.clear()

    def _work_until_finished(self) -> None:
        sleep_seconds = MIN_SLEEP_SECONDS
        idle_since = time.monotonic()
        while not self.run.has_to_be_left:
            self.plan_follower.follow()
            if self.queue.plan is not self.plan_follower.plan:
                self.queue.replace_plan(self.plan_follower.plan)
            has_progress = self.queue.survey_if_due()
            if self.queue.is_finished and not self.run.is_open:
                if self._uncontrolled_run is not None:
                    self._uncontrolled_run.end()
                return
            if self._uncontrolled_run is not None:
                self._uncontrolled_run.submit_missing(self.queue.ready_count)
            if self._run_next_node() or has_progress:
                self.wait_notice.clear()
                self._wait_reason = ""
                sleep_seconds = MIN_SLEEP_SECONDS
                idle_since = time.monotonic()
            elif self.run.owner is not None and time.monotonic() - idle_since >= 60 * self.run.idle_minutes:
                self.run.note_idle_leave()
                return
            else:
                if self._wait_reason or self.queue.left_to_others:
                    self.wait_notice.update(lambda: self._wait_reason or self._describe_missing_hardware())
                time.sleep(random.uniform(0.5, 1.0) * sleep_seconds)
                sleep_seconds = min(2 * sleep_seconds, MAX_SLEEP_SECONDS)

    def _has_hardware_for(self, node: Node) -> bool:
        return self.hardware.fits(node.runtime.get("hardware"))

    def _describe_missing_hardware(self) -> str:
        """Return what the first node waits for that is left to workers of other hardware."""
        node = self.queue.left_to_others[0]
        lease_info = self.leases.read(self.store.folder_of(node))
        if lease_info is not None and lease_info.state == "alive":
            return _describe_wait(node, lease_info)
        return f"{node.stage} {node.name} waits for a worker on {describe_wanted(node.runtime['hardware'])}"

    def _run_next_node(self) -> bool:
        """Run the first node that this worker can take; return whether there was one."""
        while (node := self.queue.pop()) is not None:
            folder = self.store.folder_of(node)
            if _holds_result(folder):
                # What starts from it looks for it by this: a network disk may not list its parents yet.
                self.store.note_folder(node.signature, folder)
                self.queue.mark_done(node)
                continue
            if node.signature in self._unshown:
                self._wait_reason = f"waits until the disk shows {node.stage} {node.name} here, which is done"
                continue
            lease_info = self.leases.read(folder)
            if lease_info is not None and lease_info.state == "alive":
                self._wait_reason = _describe_wait(node, lease_info)
                continue
            if self._is_exclusive(node, lease_info):
                place = self._enter(self.room.try_enter_alone)
                if place is None:
                    self.queue.defer(node)
                    continue
                return self._run_alone([node, *self.queue.take_all(self._needs_quiet_host)], place)
            place = self._enter(self.room.try_enter)
            if place is None:  # somebody waits for this host to be quiet
                self.queue.put_back(node)
                self._wait_reason = f"waits until what has to run alone on {current_process().host} has run"
                return False
            try:
                if self._run_in_place(node, place):
                    return True
            finally:
                place.leave()
        return self._wait_and_run_alone()

    def _enter(self, enter: Callable[[], RoomPlace | None]) -> RoomPlace | None:
        try:
            return enter()
        except PermissionError:
            # Another user's lock file can't be opened. A stage that takes times meets the same error when it asks for
            # the room, and fails by it; what does not, needn't, and neither does the worker.
            return RoomPlace.without_lock(self.room)

    def _wait_and_run_alone(self) -> bool:
        """Wait for this host to be quiet, where only nodes that need it are left; return whether one was run."""
        if not self.queue.deferred:
            return False

        def is_wanted() -> bool:
            self.wait_notice.update(lambda: f"{self.queue.deferred[0].name}: {self.room.describe_wait()}")
            return not self.run.has_to_be_left and any(map(self._is_free, self.queue.deferred))

        try:
            place = self._enter(lambda: self.room.wait_alone(is_wanted))
        finally:
            self.wait_notice.clear()
        if place is None:
            return False
        return self._run_alone(self.queue.take_all(lambda node: True), place)

    def _is_free(self, node: Node) -> bool:
        """Whether a node is neither done nor in the hands of a worker."""
        folder = self.store.folder_of(node)
        is_done = node.signature in self._unshown or _holds_result(folder)
        return not is_done and not _is_running(self.leases.read(folder))

    def _run_alone(self, nodes: list[Node], place: RoomPlace) -> bool:
        """Run nodes one after another under a place that is the whole room; return whether any was run."""
        has_run = False
        try:
            for node in nodes:
                if not self.run.has_to_be_left:
                    has_run |= self._run_in_place(node, place)
            return has_run
        finally:
            place.leave()

    def _run_in_place(self, node: Node, place: RoomPlace) -> bool:
        """Take the lease of a node and run it; return False where another worker has taken it."""
        folder = self.store.folder_of(node)
        try:
            disk.make_folder(folder)
            lease = self.leases.take(folder, self._job_details | build_memory_details())
        except OSError as error:
            self._record_unusable_folder(node, error)
            return True
        if lease is None:
            return False
        is_wanted = self.plan_follower.has_node
        self._run_leased(StageRun(node, lease, self.store, self.run, self.run.threads, place, is_wanted))
        return True

    def _record_unusable_folder(self, node: Node, error: OSError) -> None:
        """Record a node's failure in the run's folder, since the node's own can't be written to.

        Raises:
            OSError: `error`, where it concerns the whole disk and so every node.
        """
        if error.errno in disk.DISK_WIDE_ERRNOS:
            raise error
        is_blocked_by_file = isinstance(error, NotADirectoryError)
        line = f"can't work in {disk.format_error(error)}"
        if is_blocked_by_file:
            line += "; move it away"
        self.run.record_failure(
            node.signature, {"error": line, "mistake": is_blocked_by_file, "kind": None, "cause": "error"}
        )
        self.failures.append(f"{node.stage} {node.name}: {line}")

    def _is_exclusive(self, node: Node, lease_info: LeaseInfo | None) -> bool:
        """Whether a node must run alone: it takes times, or its workers were killed too often."""
        return self._needs_quiet_host(node) or self.leases.count_deaths(lease_info) >= DEATHS_UNTIL_ALONE

    def _needs_quiet_host(self, node: Node) -> bool:
        return bool(node.runtime.get("alone", False))

    def _run_leased(self, stage_run: StageRun) -> None:
        """Run a leased node, unless another worker finished or failed it before the lease was taken."""
        node, lease = stage_run.node, stage_run.lease
        # The folder is listed after its lease was taken: a network disk may show an older view of what lay there.
        files = os.listdir(lease.folder)
        self.store.note_folder(node.signature, lease.folder)
        if RECORD_FILE in files:
            if self.store.find_record(node.signature) is not None:
                stage_run.finish()
                self.queue.mark_done(node)
            elif node.signature in self.store.unreadable:
                lease.release()
            else:  # the view of the record itself is older than that of the folder
                stage_run.finish()
                self._unshown.add(node.signature)
            return
        if self.store.find_failure_of_run(node.signature, self.run.id):
            lease.release()
            return
        is_given_up = lease.deaths >= DEATHS_UNTIL_FAILED
        failure = record_deaths(stage_run) if is_given_up else stage_run.run_and_publish()
        if failure is not None:
            self.failures.append(f"{node.stage} {node.name}: {failure}")
        elif stage_run.files.record.exists():  # else it is begun again, here or elsewhere
            self.queue.mark_done(node)
            self.queue.add_children(node)

    def _set_thread_variables(self) -> None:
        # OpenMP, MKL and OpenBLAS read these when they are loaded: they are set before a stage first imports torch.
        for variable in THREAD_VARIABLES:
            os.environ[variable] = str(self.run.threads)


def _describe_wait(node: Node, lease_info: LeaseInfo) -> str:
    """Return whom a worker waits for that can't have a node, in words."""
    owner = lease_info.owner
    if owner is None:
        return f"waits for another user's process, which makes {node.stage} {node.name}"
    line = f"waits for {owner.host} process {owner.pid}, which makes {node.stage} {node.name}"
    if not is_on_this_host(owner):
        line += f" (taken over when nothing was heard of it for {LEASE_TIMEOUT_SECONDS:.0f} s)"
    return line


def _holds_result(folder: Path) -> bool:
    """Whether a folder holds a finished result; a network disk may show an older view, without it."""
    return (folder / RECORD_FILE).exists()


def _is_running(lease_info: LeaseInfo | None) -> bool:
    return lease_info is not None and lease_info.state == "alive"
