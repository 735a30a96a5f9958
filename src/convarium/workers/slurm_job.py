"""The Slurm job that this process works in, as its variables tell."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

JOB_KEY = "job"  # among the details of a lease
REQUEUE_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class SlurmJob:
    """A job, or a task of an array, that was submitted for a run.

    Attributes:
        id: as `squeue` writes it, "4711_0".
        restarts: how often it was begun again; two processes of one job differ in it.
    """

    id: str
    restarts: int

    def to_details(self) -> dict[str, Any]:
        """Return what a lease says of the job that holds it."""
        return {JOB_KEY: asdict(self)}

    def requeue(self) -> bool:
        """Have Slurm begin the job again later; return whether it will."""
        command = ("scontrol", "requeue", self.id)
        try:
            done = subprocess.run(command, capture_output=True, timeout=REQUEUE_TIMEOUT_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0


def find_own_job(run_id: str) -> SlurmJob | None:
    """Return the job of this process; None where it is none of the run's, whose jobs bear its id as their name."""
    if os.environ.get("SLURM_JOB_NAME") != run_id or "SLURM_JOB_ID" not in os.environ:
        return None
    task = os.environ.get("SLURM_ARRAY_TASK_ID")
    array_id = os.environ.get("SLURM_ARRAY_JOB_ID", os.environ["SLURM_JOB_ID"])
    restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    return SlurmJob(array_id if task is None else f"{array_id}_{task}", restarts)


def build_job_details(run_id: str) -> dict[str, Any]:
    """Return what a lease of this process says of its job; nothing where it has none."""
    job = find_own_job(run_id)
    return {} if job is None else job.to_details()


def parse_job(details: Mapping[str, Any]) -> SlurmJob | None:
    """Return the job that a lease names."""
    try:
        return SlurmJob(str(details[JOB_KEY]["id"]), int(details[JOB_KEY]["restarts"]))
    except (KeyError, TypeError, ValueError):
        return None
