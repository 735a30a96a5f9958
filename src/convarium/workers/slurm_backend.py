"""Workers that Slurm starts: each is a task of a job array, which outlives the controller that submitted it."""

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from convarium.errors import StageFailed
from convarium.store.store import Store
from convarium.workers.backend import Job
from convarium.workers.job_watch import JobWatch
from convarium.workers.run_file import Run
from convarium.workers.slurm_command import SlurmRefusal, run_slurm_command
from convarium.workers.slurm_queue import QueuedJob, QueueView, SlurmQueue, cancel_waiting_jobs
from convarium.workers.slurm_script import find_job_log, write_job_script
from convarium.workers.slurm_settings import parse_slurm_settings, write_slurm_settings

REFUSAL_REST_SECONDS = 60.0  # for which no more jobs are submitted once a limit has been met
GOOD_ENDS = ("COMPLETED", "CANCELLED")


class SlurmBackend:
    """Submits the workers of a run and looks at the queue; jobs bear the run's id as their name.

    So the queue also tells of jobs that an earlier controller has submitted.

    Args:
        settings: what stands under `hydra.launcher`.

    Raises:
        UserError: a setting is wrong, or Slurm does not answer.
    """

    scheduler: ClassVar[str] = "slurm"

    def __init__(self, run: Run, **settings: Any) -> None:
        self._run = run
        self._settings = parse_slurm_settings(settings)
        self._queue = SlurmQueue(run.id, self._settings.squeue_seconds)
        self._submitted_at: dict[str, float] = {}  # in monotonic time, by job
        self._script: Path | None = None
        self._max_array_size = 0
        self._refused_until = 0.0

    def submit(self, count: int) -> None:
        """Submit so many jobs, fewer where Slurm takes no more; those are submitted at a later call.

        Raises:
            UserError: Slurm refuses such jobs.
        """
        if time.monotonic() < self._refused_until:
            return
        script = self._script or self._prepare_script()
        array_size = self._max_array_size
        while count > 0:
            array_size = min(array_size, count)
            try:
                self._submit_array(script, array_size)
            except SlurmRefusal as error:
                if not error.is_limit or (array_size == 1 and not self._has_living_jobs()):
                    raise
                if array_size == 1:
                    self._refused_until = time.monotonic() + REFUSAL_REST_SECONDS
                    return
                array_size //= 2
            else:
                count -= array_size

    def states(self) -> Sequence[Job]:
        """Return all jobs of the run that were submitted by this controller or have been in the queue."""
        view = self._queue.look()
        for job_id in view.jobs:
            self._submitted_at.setdefault(job_id, view.begun_at)
        return [self._build_job(job_id, submitted_at, view) for job_id, submitted_at in self._submitted_at.items()]

    def cancel(self) -> None:
        """Cancel the jobs that have not started; workers leave by themselves once the run is stopped or over."""
        cancel_waiting_jobs(self._run.id)

    def watch_leases(self, store: Store) -> JobWatch:
        """Return what finds the leases of jobs that are gone."""
        return JobWatch(self._run, store, self._queue.look)

    def _prepare_script(self) -> Path:
        """Write the script and ask Slurm whether it would take it, before anything is queued."""
        script = write_job_script(self._run, self._settings)
        write_slurm_settings(self._settings, self._run.folder)
        try:
            run_slurm_command("sbatch", "--test-only", "--array=0", str(script))
        except SlurmRefusal as error:
            if not error.is_limit:
                raise
        self._max_array_size = read_max_array_size()
        self._script = script
        return script

    def _submit_array(self, script: Path, size: int) -> None:
        tasks = f"0-{size - 1}%{self._settings.array_parallelism}"
        text = run_slurm_command("sbatch", "--parsable", f"--array={tasks}", str(script))
        array_id = text.strip().split(";")[0]  # the cluster's name may follow
        submitted_at = time.monotonic()
        self._submitted_at |= {f"{array_id}_{task}": submitted_at for task in range(size)}

    def _has_living_jobs(self) -> bool:
        return any(job.state != "ended" for job in self.states())

    def _build_job(self, job_id: str, submitted_at: float, view: QueueView) -> Job:
        queued_job = view.jobs.get(job_id)
        if queued_job is None:  # Slurm forgets jobs some minutes after their end
            return Job(job_id, "ended" if view.begun_at > submitted_at else "waiting")
        return Job(job_id, queued_job.job_state, self._explain_end(job_id, queued_job))

    def _explain_end(self, job_id: str, queued_job: QueuedJob) -> StageFailed | None:
        if not queued_job.is_over or queued_job.state in GOOD_ENDS:
            return None
        log = find_job_log(self._run.folder, job_id)
        return StageFailed(f"Slurm's job {job_id} ended as {queued_job.state}; it said: {read_last_line(log)}")


def read_max_array_size() -> int:
    """Return how many tasks an array may have."""
    match = re.search(r"MaxArraySize\s*=\s*(\d+)", run_slurm_command("scontrol", "show", "config"))
    return int(match[1]) if match else 1


def read_last_line(log: Path) -> str:
    """Return the last line of a job's log, "nothing" where there is none."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return "nothing"
    return next((line.strip() for line in reversed(lines) if line.strip()), "nothing")
