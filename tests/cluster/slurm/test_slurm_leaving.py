"""A job that Slurm tells to leave, and which of them come back."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.cluster_run import begin_run, count_begun
from cluster.slurm.slurm_cluster import SlurmCluster
from cluster.slurm.slurm_runs import build_slurm_backend
from convarium.workers.run_file import Run
from convarium.workers.slurm_queue import QueuedJob, read_queue
from store.fake_run import make_fake_node
from waiting import wait_until

pytestmark = pytest.mark.xdist_group("slurm")


@pytest.fixture
def begin_job(slurm: SlurmCluster, store: Path, journal: Path) -> Callable[[], tuple[Run, str]]:
    """Have a job begin a stage of many epochs; return the run and the job."""

    def begin() -> tuple[Run, str]:
        run = begin_run(store, make_fake_node("slow", epochs=1000, seconds=0.2, journal=journal))
        backend = build_slurm_backend()(run)
        backend.submit(1)
        wait_until(lambda: bool(count_begun(journal)))
        return run, backend.states()[0].id

    return begin


def test_a_job_that_is_told_in_time_comes_back(
    slurm: SlurmCluster, begin_job: Callable[[], tuple[Run, str]], journal: Path
) -> None:
    run, job = begin_job()
    slurm.call("scancel", "--signal=USR2", job)
    wait_until(lambda: slurm.hurry() or count_begun(journal)["slow"] == 2)
    assert _read_job(run, job) == QueuedJob("RUNNING", 1)


def test_a_job_of_a_stopped_run_does_not_come_back(
    slurm: SlurmCluster, begin_job: Callable[[], tuple[Run, str]]
) -> None:
    run, job = begin_job()
    run.stop()
    slurm.call("scancel", "--signal=USR2", job)
    wait_until(lambda: _read_job(run, job).is_over)
    assert _read_job(run, job) == QueuedJob("COMPLETED", 0)


def test_a_cancelled_job_waits_for_its_end_and_does_not_come_back(
    slurm: SlurmCluster, begin_job: Callable[[], tuple[Run, str]]
) -> None:
    run, job = begin_job()
    slurm.call("scancel", job)
    wait_until(lambda: _read_job(run, job).is_over)
    assert _read_job(run, job) == QueuedJob("CANCELLED", 0)


def _read_job(run: Run, job: str) -> QueuedJob:
    return read_queue(run.id).jobs[job]
