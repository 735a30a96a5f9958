"""The workers of one run as its controller sees them: started, replaced when they die, told to leave."""

import os
import signal
import time
from contextlib import suppress

from convarium.errors import UserError
from convarium.host.process import is_on_this_host
from convarium.pause import compute_pause
from convarium.planning.plan import Node
from convarium.store.store import Store
from convarium.workers.backend import Backend, SchedulerBackend
from convarium.workers.death import Death
from convarium.workers.failure import format_error_line
from convarium.workers.giving_up import DEATHS_UNTIL_FAILED, record_deaths
from convarium.workers.hardware_watch import HardwareWatch
from convarium.workers.lease import LeaseInfo, LeaseManager
from convarium.workers.ready_nodes import PlanState
from convarium.workers.run_file import Run
from convarium.workers.run_stage import StageRun

POLL_SECONDS = 0.2
JOB_POLL_SECONDS = 0.05
MAX_FRUITLESS_ROUNDS = 3  # not below DEATHS_UNTIL_FAILED: a node that kills worker after worker fails first
STOP_GRACE_SECONDS = 3.0  # for workers to leave after the last result


class WorkerSupervisor:
    """Keeps as many workers as a run wants, until worker after worker has ended without settling a node."""

    def __init__(self, run: Run, store: Store, backend: Backend) -> None:
        self._run, self._store, self._backend = run, store, backend
        self._leases = LeaseManager(run.id)
        self._hardware_watch = HardwareWatch(run, store)
        self._jobs = backend.states()  # where a run is taken over, also those of its controllers before
        self._ended_count = sum(job.state == "ended" for job in self._jobs)
        self._fruitless_count = 0  # of jobs that have ended since a node was settled
        self._idle_leave_count = run.count_idle_leaves()
        self._settled_signatures: set[str] = set()
        self._lease_watch = backend.watch_leases(store) if isinstance(backend, SchedulerBackend) else None

    def note_ended_jobs(self, plan_state: PlanState) -> bool:
        """Look at the jobs; return whether nodes may have failed: jobs have ended since the last call, or none fits.

        Raises:
            UserError: the backend refused.
        """
        self._jobs = self._backend.states()
        has_released = self._lease_watch is not None and self._lease_watch.release_dead_leases(plan_state.ready)
        ended_jobs = [job for job in self._jobs if job.state == "ended"]
        has_given_up = self._hardware_watch.fail_unfit_nodes(plan_state.ready, self._jobs)
        new_count = len(ended_jobs) - self._ended_count
        if new_count == 0 and not has_released:
            return has_given_up
        for job in ended_jobs:
            if isinstance(job.error, UserError):
                raise job.error
        self._ended_count += new_count
        idle_leave_count = self._run.count_idle_leaves()  # those have ended in vain, and it proves nothing
        self._fruitless_count += new_count - (idle_leave_count - self._idle_leave_count)
        self._idle_leave_count = idle_leave_count
        self._store.prepare()
        for node in plan_state.ready:
            self._release_dead_owner(node)
        return True

    def note_settled_nodes(self, plan_state: PlanState) -> None:
        """Count the jobs that end in vain anew where nodes are done or failed that were not at the last call."""
        settled_signatures = plan_state.done | plan_state.failed.keys()
        # Workers that find no place come to no grief: others have the host's GPUs, and leave them some time.
        if not settled_signatures <= self._settled_signatures or self._run.count_workers_without_place():
            self._fruitless_count = 0
        self._settled_signatures |= settled_signatures

    def submit_missing(self, wanted: int) -> bool:
        """Ask for workers until there are `wanted`; return False where too many have ended in vain.

        Args:
            wanted: at least 1.
        """
        if self._fruitless_count >= MAX_FRUITLESS_ROUNDS * wanted:
            # A scheduler tells later than a process: a node whose last death is not counted yet has not failed yet.
            return self._lease_watch is not None and self._lease_watch.has_suspects
        missing_count = wanted - len(self._jobs) + self._ended_count
        if missing_count > 0:
            self._backend.submit(missing_count)
        return True

    @property
    def has_living_jobs(self) -> bool:
        """Whether some job had not ended at the last look."""
        return any(job.state != "ended" for job in self._jobs)

    def cancel_waiting_jobs(self) -> None:
        """At the run's end: leave none of its jobs in a scheduler's queue; whoever still works leaves by himself."""
        if self._lease_watch is not None:
            self._backend.cancel()

    def explain_unfinished(self) -> tuple[str, bool]:
        """Return why workers have ended in vain, in one line, and whether the user can mend it."""
        errors = [job.error for job in self._jobs if job.error is not None]
        if errors:
            return format_error_line(errors[-1]), False
        lines, is_mistake = self._run.read_worker_errors()
        return (lines[0], is_mistake) if lines else ("its workers ended without it", False)

    def wait(self, look_seconds: float) -> None:
        """Return when another look is worth while, or as soon as a job has ended.

        Args:
            look_seconds: what the last look at the store took.
        """
        due = time.monotonic() + max(POLL_SECONDS, compute_pause(look_seconds))
        while time.monotonic() < due and self._count_ended_jobs() == self._ended_count:
            time.sleep(JOB_POLL_SECONDS)

    def wait_for_workers_to_leave(self) -> None:
        """Wait until all workers have left; a launcher that hangs after the last result is left alone."""
        end = time.monotonic() + STOP_GRACE_SECONDS
        while time.monotonic() < end and self._count_ended_jobs() < len(self._backend.states()):
            time.sleep(JOB_POLL_SECONDS)

    def stop(self) -> None:
        """End all workers: ask them to leave, have the backend end them, then kill those that are still alive.

        A worker that somebody started by hand on this host (`convarium work`) gets a moment to give its lease back.
        """
        self._run.stop()
        self._backend.cancel()
        self._signal_workers(signal.SIGTERM)
        end = time.monotonic() + STOP_GRACE_SECONDS
        while time.monotonic() < end and any(self._run.find_living_workers()):
            time.sleep(JOB_POLL_SECONDS)
        self._signal_workers(signal.SIGKILL)

    def _release_dead_owner(self, node: Node) -> None:
        """Let workers of other hosts, which can't see a process of this one, take a node at once whose owner is dead.

        A node that has killed worker after worker fails.
        """
        folder = self._store.folder_of(node)
        with suppress(OSError):  # the next worker to try reports a folder that can't be written to
            lease_info = self._leases.read(folder)
            if lease_info is not None and _is_owner_seen_dead(lease_info):
                self._leases.mark_dead(folder, lease_info.token, self._explain_death(lease_info))
                lease_info = self._leases.read(folder)
            if self._leases.count_deaths(lease_info) >= DEATHS_UNTIL_FAILED:
                lease = self._leases.take(folder)
                if lease is not None:
                    record_deaths(StageRun(node, lease, self._store, self._run, threads=1))

    def _explain_death(self, lease_info: LeaseInfo) -> Death:
        exit_codes = {job.id: job.exit_code for job in self._jobs}
        pid = "" if lease_info.owner is None else str(lease_info.owner.pid)
        return self._leases.explain_death(lease_info, exit_codes.get(pid))

    def _count_ended_jobs(self) -> int:
        return sum(job.state == "ended" for job in self._backend.states())

    def _signal_workers(self, number: int) -> None:
        for process in self._run.find_living_workers():
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)


def _is_owner_seen_dead(lease_info: LeaseInfo) -> bool:
    return lease_info.state == "dead" and lease_info.owner is not None and is_on_this_host(lease_info.owner)
