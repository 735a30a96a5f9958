"""Leases of jobs that Slurm knows to be gone, so that nobody waits until nothing was heard of them for minutes."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from convarium.planning.plan import Node
from convarium.store import disk
from convarium.store.store import Store
from convarium.workers.lease import LeaseManager
from convarium.workers.run_file import Run
from convarium.workers.slurm_job import SlurmJob, parse_job
from convarium.workers.slurm_queue import LEAVING_STATE, QueueView

Marks = frozenset[tuple[str, int]]  # id and restarts of each job that runs


@dataclass(frozen=True)
class JobLease:
    """A lease that was read, and the job that held it."""

    folder: Path
    number: int
    job: SlurmJob


class JobWatch:
    """Marks leases as dead whose jobs are over, wait to start again, or have been started again.

    A lease is judged only by a view of the queue that was asked for after it was read: a job may have begun, and taken
    it, after an older one. Leases are read only where a job is missing among those that ran before.

    Args:
        look_at_queue: returns the newest view of the queue.
    """

    def __init__(self, run: Run, store: Store, look_at_queue: Callable[[], QueueView]) -> None:
        self._run, self._store, self._look_at_queue = run, store, look_at_queue
        self._leases = LeaseManager(run.id)
        self._running: Marks | None = None
        self._suspects: list[JobLease] = []
        self._read_at = 0.0

    def release_dead_leases(self, ready: Iterable[Node]) -> None:
        """Look at the newest view of the queue; let others take what is held by jobs that are gone.

        Args:
            ready: the nodes that may be in the hands of workers.
        """
        view = self._look_at_queue()
        if self._suspects and view.begun_at > self._read_at:
            self._suspects = [lease for lease in self._suspects if not self._judge(lease, view)]
        running = frozenset((job_id, job.restarts) for job_id, job in view.jobs.items() if job.is_running)
        is_one_gone = self._running is None or not self._running <= running
        self._running = running
        if is_one_gone:
            self._read_at = time.monotonic()
            self._suspects = list(self._read_leases(ready))

    def _read_leases(self, ready: Iterable[Node]) -> Iterable[JobLease]:
        folders = [self._store.folder_of(node) for node in ready]
        for folder in [*folders, *disk.list_folder(self._run.places_folder)]:
            lease_info = self._leases.read(folder)
            if lease_info is None or lease_info.state == "released" or lease_info.run != self._run.id:
                continue
            job = parse_job(lease_info.details)
            if job is not None:
                yield JobLease(folder, lease_info.number, job)

    def _judge(self, lease: JobLease, view: QueueView) -> bool:
        """Mark a lease as dead if its job is gone; return whether that is certain, the one or the other."""
        queued_job = view.jobs.get(lease.job.id)
        if queued_job is not None and queued_job.state == LEAVING_STATE:
            return False
        is_begun_again = queued_job is not None and (queued_job.is_waiting or queued_job.restarts > lease.job.restarts)
        if is_begun_again or queued_job is None or queued_job.is_over:
            self._leases.mark_dead(lease.folder, lease.number, is_killed=not is_begun_again)
        return True
