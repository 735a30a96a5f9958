"""The end of a run at the wish of another process than the one that controls it."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from convarium.errors import UserError
from convarium.workers.lease import LeaseManager
from convarium.workers.run_claim import name_controller, print_line
from convarium.workers.run_file import Run
from convarium.workers.run_owner import RunOwner, is_controller, take_owner
from convarium.workers.slurm_command import SlurmRefusal
from convarium.workers.slurm_queue import QueuedJob, cancel_waiting_jobs, read_queue

POLL_SECONDS = 0.2
SILENCE_SECONDS = 5.0
PATIENCE_SECONDS = 300.0  # more than a dead controller's lease lasts, and than a living one looks away


@dataclass(frozen=True)
class CancelledRun:
    """A run that was ended.

    Attributes:
        cancelled_jobs: ids of those that had not started.
        leaving_jobs: ids of those that run, and leave at their next check.
    """

    run: Run
    cancelled_jobs: tuple[str, ...]
    leaving_jobs: tuple[str, ...]


def cancel_run(run: Run) -> CancelledRun:
    """End a run: its waiting jobs are cancelled, running ones keep a checkpoint and leave, its folder is removed.

    A process that controls it ends it; where none does, this one.

    Raises:
        UserError: the run ends with its controller alone, or a living controller does not end it.
    """
    _check_cancellable(run)
    jobs = _read_jobs(run)
    _end_run(run)
    later_jobs = _read_jobs(run) if jobs else jobs
    ended = {job_id for job_id in jobs if job_id not in later_jobs or later_jobs[job_id].is_over}
    return CancelledRun(
        run,
        tuple(job_id for job_id, job in jobs.items() if job.is_waiting and job_id in ended),
        tuple(job_id for job_id, job in later_jobs.items() if not job.is_over),
    )


def _check_cancellable(run: Run) -> None:
    if run.is_over:
        raise UserError(f"{run.folder}: the run is over")
    if run.owner is None:
        raise UserError(
            f"{run.folder}: its workers end with {name_controller(run)}, which began it: press Ctrl-C there"
        )
    if run.is_open and is_controller(LeaseManager("").read(run.store / run.owner)):
        raise UserError(f"{run.folder} is the run of a search, which {name_controller(run)} makes: press Ctrl-C there")


def _read_jobs(run: Run) -> Mapping[str, QueuedJob]:
    """Return the jobs of a run in the queue by their ids; none where no scheduler has any, or it does not answer."""
    if run.scheduler is None:
        return {}
    try:
        return read_queue(run.id).jobs
    except SlurmRefusal as error:
        print_line(f"{error}; jobs that start nevertheless find the run over, and end")
        return {}


def _end_run(run: Run) -> None:
    """Have the controller end the run, or end it under the owner's lease where none lives.

    Raises:
        UserError: the controller lives and does not end it.
    """
    leases = LeaseManager("")
    start = time.monotonic()
    is_told = False
    while run.file.exists():
        assert run.owner is not None
        owner = take_owner(run.store, run.store / run.owner, leases)
        if owner is not None:
            _end_owned_run(run, owner)
            return
        _tell_to_stop(run)
        seconds = time.monotonic() - start
        if seconds > SILENCE_SECONDS and not is_told:
            print_line(f"waits for {name_controller(run)}, which controls the run, to end it")
            is_told = True
        if seconds > PATIENCE_SECONDS:
            raise UserError(
                f"{run.folder}: {name_controller(run)} controls the run and does not end it: end that process"
            )
        time.sleep(POLL_SECONDS)


def _tell_to_stop(run: Run) -> None:
    """Have the controller and the workers leave the run, under the lease that it names now."""
    with suppress(UserError, FileNotFoundError):  # it has ended just now
        replace(Run.read(run.file), store=run.store).stop()


def _end_owned_run(run: Run, owner: RunOwner) -> None:
    try:
        _tell_to_stop(run)
        owner.check()
        run.remove()
        if run.scheduler is not None:
            cancel_waiting_jobs(run.id)
    finally:
        owner.release()
