"""Whether a scheduler still has workers of a run: no process or place tells of a job that waits to start."""

from convarium.workers.run_file import Run
from convarium.workers.slurm_command import SlurmRefusal
from convarium.workers.slurm_queue import read_queue


def may_have_workers(run: Run) -> bool:
    """Whether a run has workers, or may get some: a living place, or a job that has not ended.

    Where the scheduler does not answer, or is not to be asked from this host, there may be one.
    """
    if any(run.find_living_places()):
        return True
    if run.scheduler is None:
        return False
    try:
        jobs = read_queue(run.id).jobs
    except SlurmRefusal:
        return True
    return not all(job.is_over for job in jobs.values())
