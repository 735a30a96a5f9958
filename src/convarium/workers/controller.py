"""The process that the user started: it has workers started, follows the store, and replaces workers that died."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from convarium.errors import HardwareNotHere, UserError
from convarium.planning.plan import Plan
from convarium.store import disk
from convarium.store.result_folder import ResultFolder
from convarium.store.store import Store
from convarium.workers import stored_inputs
from convarium.workers.backend import Backend, Job
from convarium.workers.hardware_watch import HardwareWatch
from convarium.workers.lease import LeaseManager, find_lease_number, remove_leases
from convarium.workers.owned_files import is_made_by_store
from convarium.workers.ready_nodes import PlanMonitor, PlanState
from convarium.workers.run_file import Run, remove_dead_runs
from convarium.workers.run_stage import StageRun, format_error_line, remove_leftovers
from convarium.workers.worker import DEATHS_UNTIL_FAILED, KILLED_MESSAGE

POLL_SECONDS = 0.2
JOB_POLL_SECONDS = 0.05
REST_FACTOR = 20  # looks at the store take at most a twenty-first of the controller's time
MAX_FRUITLESS_ROUNDS = 3  # not below DEATHS_UNTIL_FAILED: a node that kills worker after worker fails first
DEFAULT_IDLE_MINUTES = 10.0
STOP_GRACE_SECONDS = 3.0  # for workers to leave after the last result


class ProgressDisplay(Protocol):
    """Shows a run to the user."""

    def begin(self, plan: Plan, store: Store, run: Run, plan_state: PlanState) -> None:
        """Show that the run starts from `plan_state`."""

    def update(self, plan_state: PlanState) -> None:
        """Show what has changed since the last call."""

    def end(self) -> None:
        """Close the display; the run has ended, with or without success."""


@dataclass(frozen=True)
class NodeStatus:
    """How a node ended.

    Attributes:
        state: "done", "failed", "blocked" (a parent or an earlier ancestor failed) or "unfinished".
        error: reason in one line, for a blocked node that of the failed one; None if done.
        mistake: whether the user can mend it (data that are missing or corrupt).
        kind: set where the failure is a value in a comparison: what could not be reached, what is not installed, what
            no worker had the hardware for.
    """

    state: str
    error: str | None = None
    mistake: bool = False
    kind: str | None = None


def run_plan(
    plan: Plan,
    store: Store,
    build_backend: Callable[[Run], Backend],
    workers: int,
    progress: ProgressDisplay,
    threads: int = 1,
    devices: int = 0,
    idle_minutes: float = DEFAULT_IDLE_MINUTES,
) -> dict[str, NodeStatus]:
    """Make every result that the plan's points need and that is not stored; return how each node ended.

    Args:
        build_backend: returns what starts the workers of a run.
        workers: how many at most.
        threads: of each worker.
        devices: how many GPUs each worker has, where its host has any; 0: none.
        idle_minutes: what is for hardware that no worker has is given up after so long.

    Raises:
        UserError: the store can't be written to, a stored result has another config than its signature says, or the
            backend refused.
        KeyboardInterrupt: the user stopped the run; its workers are gone.
    """
    monitor = PlanMonitor(plan)
    plan_state = monitor.read_state(store, "")
    stored_inputs.check_stored_inputs(plan, store, plan_state.done)
    stored_inputs.print_source_warning(store, plan_state.done)
    if store.is_created:
        remove_dead_runs(store)
        _remove_worker_leftovers(store, plan_state)
    if plan_state.is_finished:
        return _build_statuses(plan, plan_state, "")
    store.prepare()
    run = Run.begin(plan, store, workers, threads, devices)
    try:
        controller = Controller(plan, store, monitor, run, build_backend(run), progress, idle_minutes)
        progress.begin(plan, store, run, plan_state)
        try:
            return controller.run_until_done()
        except BaseException:
            controller.stop()
            raise
        finally:
            progress.end()
    finally:
        run.remove()


class Controller:
    """One run, from its first worker to its end."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        monitor: PlanMonitor,
        run: Run,
        backend: Backend,
        progress: ProgressDisplay,
        idle_minutes: float = DEFAULT_IDLE_MINUTES,
    ) -> None:
        self.plan, self.store, self.monitor, self.run, self.backend = plan, store, monitor, run, backend
        self._hardware_watch = HardwareWatch(run, idle_minutes * 60)
        self._progress = progress
        self._done_signatures: frozenset[str] = frozenset()
        self._look_seconds = 0.0

    def run_until_done(self) -> dict[str, NodeStatus]:
        """Keep workers running until every node is done, failed or blocked, or worker after worker has settled none."""
        plan_state = self._read_state()
        ended_count = 0  # of jobs
        settled_count = len(plan_state.done) + len(plan_state.failed)
        fruitless_ends = 0
        while not plan_state.is_finished:
            jobs = self.backend.states()
            ended_jobs = [job for job in jobs if job.state == "ended"]
            if len(ended_jobs) > ended_count:
                for job in ended_jobs:
                    if isinstance(job.error, UserError):
                        raise job.error
                self.store.prepare()
                plan_state = self._fail_killed_nodes(plan_state)
                last_settled_count = settled_count
                settled_count = len(plan_state.done) + len(plan_state.failed)
                fruitless_ends += len(ended_jobs) - ended_count
                # Workers that find no place come to no grief: others have the host's GPUs, and leave them some time.
                if settled_count > last_settled_count or self.run.count_workers_without_place():
                    fruitless_ends = 0
                ended_count = len(ended_jobs)
            plan_state = self._give_up_unfit_nodes(plan_state, jobs)
            wanted = self._count_wanted_workers(plan_state)
            if fruitless_ends >= MAX_FRUITLESS_ROUNDS * wanted:
                return _build_statuses(self.plan, plan_state, self._explain_unfinished(ended_jobs))
            if not plan_state.is_finished and len(jobs) - ended_count < wanted:
                self.backend.submit(wanted - len(jobs) + ended_count)
            plan_state = self._wait_and_look(plan_state, ended_count)
        self._wait_for_workers_to_leave()
        stored_inputs.check_stored_inputs(self.plan, self.store, plan_state.done)
        return _build_statuses(self.plan, plan_state, "")

    def stop(self) -> None:
        """End all workers: ask them to leave, have the backend end them, then kill those that are still alive.

        A worker that somebody started by hand on this host (`convarium work`) gets a moment to give its lease back.
        """
        self.run.stop()
        self.backend.cancel()
        self._signal_workers(signal.SIGTERM)
        end = time.monotonic() + STOP_GRACE_SECONDS
        while time.monotonic() < end and any(self.run.find_living_workers()):
            time.sleep(JOB_POLL_SECONDS)
        self._signal_workers(signal.SIGKILL)

    def _signal_workers(self, number: int) -> None:
        for process in self.run.find_living_workers():
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)

    def _wait_and_look(self, plan_state: PlanState, ended_count: int) -> PlanState:
        """Read the plan's state after a rest, or as soon as a job has ended."""
        due = time.monotonic() + max(POLL_SECONDS, REST_FACTOR * self._look_seconds)
        while time.monotonic() < due and self._count_ended_jobs() == ended_count:
            time.sleep(JOB_POLL_SECONDS)
        return self._read_state()

    def _wait_for_workers_to_leave(self) -> None:
        """Wait until all workers have left; a launcher that hangs after the last result is left alone."""
        end = time.monotonic() + STOP_GRACE_SECONDS
        while time.monotonic() < end and self._count_ended_jobs() < len(self.backend.states()):
            time.sleep(JOB_POLL_SECONDS)

    def _count_ended_jobs(self) -> int:
        return sum(job.state == "ended" for job in self.backend.states())

    def _count_wanted_workers(self, plan_state: PlanState) -> int:
        open_count = len(self.plan.select_needed(plan_state.done))
        return max(1, min(self.run.workers - self.run.count_workers_without_place(), open_count))

    def _read_state(self) -> PlanState:
        start = time.monotonic()
        plan_state = self.monitor.read_state(self.store, self.run.id, self._done_signatures)
        self._done_signatures = plan_state.done
        self._progress.update(plan_state)
        self._look_seconds = time.monotonic() - start
        return plan_state

    def _fail_killed_nodes(self, plan_state: PlanState) -> PlanState:
        """Record the failure of nodes that have killed worker after worker; return the new state."""
        leases = LeaseManager(self.run.id)
        for node in plan_state.ready:
            folder = self.store.folder_of(node)
            if leases.count_deaths(leases.read(folder)) < DEATHS_UNTIL_FAILED:
                continue
            with suppress(OSError):  # the next worker to try reports a folder that can't be written to
                lease = leases.take(folder)
                if lease is not None:
                    StageRun(node, lease, self.store, self.run, threads=1).record_failure(KILLED_MESSAGE)
        return self._read_state()

    def _give_up_unfit_nodes(self, plan_state: PlanState, jobs: Sequence[Job]) -> PlanState:
        """Record the failure of nodes that are for hardware that no worker has; return the new state."""
        reasons = self._hardware_watch.find_given_up(plan_state.ready, jobs)
        for signature, reason in reasons.items():
            node = self.plan.nodes[signature]
            folder = self.store.folder_of(node)
            try:
                disk.make_folder(folder)
                lease = LeaseManager(self.run.id).take(folder)
            except OSError:
                failure = {"error": reason, "mistake": True, "kind": HardwareNotHere.kind}
                self.run.record_failure(signature, failure)
                continue
            if lease is not None:  # else a worker of another run makes it
                stage_run = StageRun(node, lease, self.store, self.run, threads=1)
                stage_run.record_failure(reason, mistake=True, kind=HardwareNotHere.kind)
        return self._read_state() if reasons else plan_state

    def _explain_unfinished(self, ended_jobs: Sequence[Job]) -> str:
        errors = [job.error for job in ended_jobs if job.error is not None]
        if errors:
            return format_error_line(errors[-1])
        worker_errors = self.run.read_worker_errors()
        return worker_errors[0] if worker_errors else "its workers ended without it"


def _remove_worker_leftovers(store: Store, plan_state: PlanState) -> None:
    """Clean up after workers that were killed between writing a record and removing leases and checkpoints."""
    for signature in plan_state.done:
        folder = store.find_folder(signature)
        if folder is None:
            continue
        with suppress(OSError):
            has_leftovers = find_lease_number(folder) is not None or ResultFolder(folder).checkpoints.exists()
            if has_leftovers and is_made_by_store(folder, signature):
                remove_leases(folder)
                remove_leftovers(folder)


def _build_statuses(plan: Plan, plan_state: PlanState, reason: str) -> dict[str, NodeStatus]:
    """Return each node's status by signature; `reason` says why nodes are unfinished, if any are."""
    statuses: dict[str, NodeStatus] = {}
    failed_or_blocked = plan_state.failed.keys() | plan_state.blocked
    for signature, node in plan.nodes.items():
        if signature in plan_state.failed:
            failure = plan_state.failed[signature]
            line = f"{node.name}: {failure['error']}"
            statuses[signature] = NodeStatus("failed", line, failure["mistake"], failure.get("kind"))
        elif signature in plan_state.blocked:
            blocking_parent = next(parent for parent in node.parents if parent in failed_or_blocked)
            statuses[signature] = replace(statuses[blocking_parent], state="blocked")
        elif signature in plan_state.done or plan_state.is_finished:
            # In a finished plan a node may be missing from the store: an ancestor of stored results is not needed.
            statuses[signature] = NodeStatus("done")
        else:
            statuses[signature] = NodeStatus("unfinished", f"{node.name}: {reason}")
    return statuses
