"""What workers do for a run of a scheduler that no process controls: they have more workers started, and end it.

Each time one of them takes the owner's lease for a moment, as a controller would hold it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from convarium.errors import UserError
from convarium.host.process import current_process
from convarium.workers.lease import LeaseLost, LeaseManager
from convarium.workers.run_claim import RunClaim, read_named_run
from convarium.workers.run_file import Run
from convarium.workers.run_owner import take_owner
from convarium.workers.slurm_backend import SlurmBackend
from convarium.workers.slurm_queue import cancel_waiting_jobs
from convarium.workers.slurm_settings import read_slurm_settings

REFUSAL_REST_SECONDS = 60.0
MAX_REST_FACTOR = 8  # hundreds of workers that all see more to do ask the scheduler less and less often
MAX_FAILED_SHARE = 3  # of the wanted jobs: when so many have failed of late, more would fail too


class UncontrolledRun:
    """A closed run of a scheduler, as one of its workers sees it.

    Args:
        run: as the worker read it when it began; it must have an owner.
    """

    def __init__(self, run: Run) -> None:
        assert run.owner is not None
        self._run, self._owner_folder = run, run.store / run.owner
        self._leases = LeaseManager(run.id)
        self._rest_factor = 1
        self._next_look = 0.0

    def submit_missing(self, ready_count: int) -> None:
        """Submit jobs where more nodes are ready than there are workers and jobs that wait to start.

        What the scheduler refuses is noted in the run's folder, and the worker goes on with its own work.
        """
        if time.monotonic() < self._next_look or ready_count <= self._count_places():
            return
        rest_seconds = REFUSAL_REST_SECONDS
        with self._claim() as claim:
            if claim is not None:
                try:
                    rest_seconds = _submit_missing(claim, ready_count)
                except UserError as error:
                    claim.run.note_refused_submission(f"{current_process().host}: {error}")
        self._next_look = time.monotonic() + rest_seconds * self._rest_factor
        self._rest_factor = min(2 * self._rest_factor, MAX_REST_FACTOR)

    def end(self) -> None:
        """Remove the run, whose plan is finished, with the jobs that still wait to start."""
        with self._claim() as claim:
            if claim is not None:
                claim.owner.check()
                claim.run.remove()
                cancel_waiting_jobs(claim.run.id)

    def _count_places(self) -> int:
        return sum(1 for _ in self._run.find_living_places(self._leases))

    @contextmanager
    def _claim(self) -> Iterator[RunClaim | None]:
        """Have the owner's lease meanwhile; yield the run as it is now, None where another process controls it."""
        owner = take_owner(self._run.store, self._owner_folder, self._leases, is_worker=True)
        if owner is None:
            yield None
            return
        try:
            run = read_named_run(self._run.store, self._owner_folder)
            if run is None or run.id != self._run.id or run.is_stopped:
                yield None
            else:
                yield RunClaim(run, owner, is_taken_over=True)
        except LeaseLost:  # this process was cut off from the store, and another controls the run by now
            pass
        finally:
            owner.release()


def _submit_missing(claim: RunClaim, ready_count: int) -> float:
    """Submit jobs until there are as many as can work; return the seconds for which nobody need look again.

    Raises:
        UserError: the scheduler refuses, or is not to be asked from this host.
        LeaseLost: another process controls the run by now.
    """
    run = claim.run
    settings = read_slurm_settings(run.folder)
    backend = SlurmBackend(run, **settings)
    jobs = backend.states()
    wanted = min(ready_count, run.workers)
    missing_count = wanted - sum(job.state != "ended" for job in jobs)
    failed_count = sum(job.error is not None for job in jobs)
    if missing_count > 0 and failed_count < MAX_FAILED_SHARE * wanted:
        claim.owner.check()
        backend.submit(missing_count)
        run.forget_refused_submission()
    return float(settings["squeue_seconds"])
