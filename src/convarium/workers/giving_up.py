"""Stages that are given up: their processes died again and again without a checkpoint in between."""

import time
from contextlib import suppress

from convarium.workers.death import Death
from convarium.workers.failure import Failure
from convarium.workers.job_end import explain_job_end
from convarium.workers.run_file import Run
from convarium.workers.run_stage import StageRun
from convarium.workers.slurm_command import SlurmRefusal
from convarium.workers.slurm_queue import read_queue

DEATHS_UNTIL_FAILED = 3
QUEUE_SECONDS = 15.0  # within which Slurm says how a job has ended whose process is gone
QUEUE_POLL_SECONDS = 1.0


def record_deaths(stage_run: StageRun) -> str | None:
    """Record that a stage failed because its processes died; return the line, None if the lease was lost."""
    lease = stage_run.lease
    death = _ask_slurm(lease.last_death, stage_run.run)
    line = f"its processes were lost {lease.deaths} times without a checkpoint in between, the last time"
    where = f" on {death.host}" if death.host else ""
    return stage_run.record_failure(Failure(f"{line}{where}: {death.line}", death.cause, host=death.host or None))


def _ask_slurm(death: Death, run: Run) -> Death:
    """Return a death as Slurm explains it, where it may know more; the same one where it does not say."""
    if not death.job:
        return death
    end = time.monotonic() + QUEUE_SECONDS
    with suppress(SlurmRefusal):
        while time.monotonic() < end:
            job = read_queue(run.id).jobs.get(death.job)
            if job is None or job.is_waiting:
                break
            if job.is_over:
                return explain_job_end(run.folder, death.job, job.state, death.host)
            time.sleep(QUEUE_POLL_SECONDS)
    return death
