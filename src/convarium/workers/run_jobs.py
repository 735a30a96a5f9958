"""The jobs of a run as its scheduler tells of them, and the stage that each works on."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from convarium.planning.plan import Node, Plan
from convarium.store.store import Store
from convarium.workers.lease import LeaseManager
from convarium.workers.ready_nodes import PlanMonitor
from convarium.workers.run_file import Run
from convarium.workers.run_owner import is_controller
from convarium.workers.slurm_job import SlurmJob, parse_job
from convarium.workers.slurm_queue import QueuedJob, read_queue
from convarium.workers.slurm_script import SCRIPT_FILE
from convarium.workers.slurm_settings import read_slurm_settings


@dataclass(frozen=True)
class RunJob:
    """A job of a run.

    Attributes:
        id: as the scheduler writes it.
        state: "waiting", "running" or "ended".
        reason: why it waits, in the scheduler's words; None where it does not, or none is given.
        host: on which it runs or ran; None where it has not started.
        seconds: for which it has run since it was last started.
        signature: of the stage that it works on; None where it works on none.
    """

    id: str
    state: str
    reason: str | None
    host: str | None
    seconds: int
    signature: str | None


@dataclass(frozen=True)
class MissingJobs:
    """Jobs that a run without a controller could use, and that its workers were not allowed to submit.

    Attributes:
        reason: what the last worker that tried was told, and on which host.
        command: submits them.
    """

    count: int
    reason: str
    command: str


def list_run_jobs(run: Run, plan: Plan, store: Store) -> tuple[list[RunJob], MissingJobs | None]:
    """Return the jobs of a run, and those that are missing.

    Args:
        plan: of the run.

    Raises:
        SlurmRefusal: the scheduler does not answer, or is not to be asked from this host.
    """
    jobs = read_queue(run.id).jobs
    ready = PlanMonitor(plan).read_state(store, run.id).ready
    stages = _read_leased_stages(ready, store)
    run_jobs = [_describe_job(job_id, job, stages) for job_id, job in jobs.items()]
    living_count = sum(job.state != "ended" for job in run_jobs)
    return run_jobs, _find_missing_jobs(run, min(len(ready), run.workers) - living_count)


def _read_leased_stages(ready: Iterable[Node], store: Store) -> Mapping[SlurmJob, str]:
    """Return the signature of the stage that each job holds the lease of."""
    leases = LeaseManager("")
    stages: dict[SlurmJob, str] = {}
    for node in ready:
        lease_info = leases.read(store.folder_of(node))
        job = None if lease_info is None or lease_info.state != "alive" else parse_job(lease_info.details)
        if job is not None:
            stages[job] = node.signature
    return stages


def _describe_job(job_id: str, job: QueuedJob, stages: Mapping[SlurmJob, str]) -> RunJob:
    # A job that was begun again holds no lease of its earlier start, even if that one's still counts as living.
    signature = stages.get(SlurmJob(job_id, job.restarts)) if job.is_running else None
    reason = job.reason if job.is_waiting else None
    return RunJob(job_id, job.job_state, reason, job.host, job.seconds, signature)


def _find_missing_jobs(run: Run, count: int) -> MissingJobs | None:
    reason = run.read_refused_submission()
    if run.owner is None or run.is_open or reason is None or count <= 0:
        return None
    if is_controller(LeaseManager("").read(run.store / run.owner)):
        return None
    parallelism = read_slurm_settings(run.folder)["array_parallelism"]
    script = run.folder.absolute() / SCRIPT_FILE
    return MissingJobs(count, reason, f"sbatch --array=0-{count - 1}%{parallelism} {shlex.quote(str(script))}")
