"""Leases of jobs that Slurm knows to be gone, so that nobody waits until nothing was heard of them for minutes."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from convarium.planning.plan import Node
from convarium.store import disk
from convarium.store.store import Store
from convarium.workers.job_end import explain_job_end
from convarium.workers.lease import LeaseManager
from convarium.workers.run_file import Run
from convarium.workers.slurm_job import SlurmJob, parse_job
from convarium.workers.slurm_queue import LEAVING_STATE, QueuedJob, QueueView

Marks = frozenset[tuple[str, int]]  # id and restarts of jobs


@dataclass(frozen=True)
class JobLease:
    """A lease that was read, the job that held it, and that job's host."""

    folder: Path
    token: str
    job: SlurmJob
    host: str


class JobWatch:
    """Marks leases as dead whose jobs are over, wait to start again, or have been started again.

    A lease is judged only by a view of the queue that was asked for after it was read: a job may have begun, and taken
    it, after an older one. Leases are read only where a job has left that ran before, or between two views.

    Args:
        look_at_queue: returns the newest view of the queue.
    """

    def __init__(self, run: Run, store: Store, look_at_queue: Callable[[], QueueView]) -> None:
        self._run, self._store, self._look_at_queue = run, store, look_at_queue
        self._leases = LeaseManager(run.id)
        self._running: Marks | None = None
        self._left: Marks = frozenset()
        self._suspects: list[JobLease] = []
        self._read_at = 0.0

    @property
    def has_suspects(self) -> bool:
        """Whether leases are to be judged at the next view."""
        return bool(self._suspects)

    def release_dead_leases(self, ready: Iterable[Node]) -> bool:
        """Look at the newest view of the queue; let others take what is held by jobs that are gone.

        Return whether there was any.

        Args:
            ready: the nodes that may be in the hands of workers.
        """
        view = self._look_at_queue()
        has_released = False
        if self._suspects and view.begun_at > self._read_at:
            verdicts = [(lease, self._judge(lease, view)) for lease in self._suspects]
            self._suspects = [lease for lease, is_dead in verdicts if is_dead is None]
            has_released = any(is_dead for _, is_dead in verdicts)
        running = _select_marks(view, lambda job: job.is_running)
        left = _select_marks(view, lambda job: not job.is_running and (job.restarts > 0 or not job.is_waiting))
        is_one_gone = self._running is None or not (self._running <= running and left <= self._left)
        self._running, self._left = running, left
        if is_one_gone:
            self._read_at = time.monotonic()
            self._suspects = list(self._read_leases(ready))
        return has_released

    def _read_leases(self, ready: Iterable[Node]) -> Iterable[JobLease]:
        folders = [self._store.folder_of(node) for node in ready]
        for folder in [*folders, *disk.list_folder(self._run.places_folder)]:
            lease_info = self._leases.read(folder)
            if lease_info is None or lease_info.state == "released" or lease_info.run != self._run.id:
                continue
            job = parse_job(lease_info.details)
            if job is not None:
                host = "" if lease_info.owner is None else lease_info.owner.host
                yield JobLease(folder, lease_info.token, job, host)

    def _judge(self, lease: JobLease, view: QueueView) -> bool | None:
        """Mark a lease as dead if its job is gone; return whether it is, None where that is not certain."""
        queued_job = view.jobs.get(lease.job.id)
        if queued_job is not None and queued_job.state == LEAVING_STATE:
            return None
        if queued_job is not None and (queued_job.is_waiting or queued_job.restarts > lease.job.restarts):
            self._leases.mark_dead(lease.folder, lease.token, None)
            return True
        if queued_job is None or queued_job.is_over:
            state = None if queued_job is None else queued_job.state
            death = explain_job_end(self._run.folder, lease.job.id, state, lease.host)
            self._leases.mark_dead(lease.folder, lease.token, death)
            return True
        return False


def _select_marks(view: QueueView, is_meant: Callable[[QueuedJob], bool]) -> Marks:
    return frozenset((job_id, job.restarts) for job_id, job in view.jobs.items() if is_meant(job))
