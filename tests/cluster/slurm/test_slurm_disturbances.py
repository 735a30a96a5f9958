"""What Slurm does to a run's jobs costs no stage more than what it did since its last checkpoint."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cluster.cluster_run import count_begun
from cluster.slurm.slurm_cluster import SlurmCluster
from cluster.slurm.slurm_runs import make_fake_chains, run_on_slurm
from convarium.planning.plan import Plan
from store.fake_run import launch_in_thread, read_stored_results, run_plan_silently
from waiting import wait_until

pytestmark = pytest.mark.xdist_group("slurm")
Disturb = Callable[[SlurmCluster, str], Any]
DISTURBANCES: dict[str, Disturb] = {
    "begun again": lambda slurm, job: slurm.call("scontrol", "requeue", job),
    "told that its time is nearly over": lambda slurm, job: slurm.call("scancel", "--signal=USR2", job),
    "cancelled": lambda slurm, job: slurm.call("scancel", job),
    "killed": lambda slurm, job: slurm.call("scancel", "--signal=KILL", "--full", job),
    "lost with its node": lambda slurm, job: slurm.lose_node(job),
    "preempted": lambda slurm, job: slurm.submit("--partition=urgent", "--ntasks=4", "--wrap=sleep 1"),
}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what a run stores that nothing happens to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run_plan_silently(make_plan(folder / "journal", 0.0), folder / "store", launch_in_thread, 1)
    return read_results_by_name(folder / "store")


@pytest.fixture
def begin_run(slurm: SlurmCluster, store: Path, journal: Path) -> Iterator[Callable[[], "Future[list[str]]"]]:
    """Begin a run of two workers in the background; return once both are in the middle of a stage."""
    with ThreadPoolExecutor(1) as pool:

        def begin() -> "Future[list[str]]":
            future = pool.submit(run_on_slurm, make_plan(journal, 0.2), store, 2)
            wait_until(lambda: future.done() or len(list(store.glob("*/*/checkpoints/state.json"))) == 2)
            return future

        yield begin


@pytest.mark.parametrize("how", DISTURBANCES)
def test_a_job_may_be(
    how: str,
    slurm: SlurmCluster,
    begin_run: Callable[[], "Future[list[str]]"],
    store: Path,
    journal: Path,
    undisturbed: dict[str, Any],
) -> None:
    future = begin_run()
    job = slurm.list_jobs("RUNNING")[0][0]
    DISTURBANCES[how](slurm, job)
    wait_until(lambda: slurm.hurry() or future.done(), seconds=60.0)
    assert future.result() == ["done"] * 4
    begun = count_begun(journal)
    assert max(begun.values()) == 2, "it was not disturbed, or more than once"
    assert sum(begun.values()) <= 6, "what was not disturbed was begun again"
    assert read_results_by_name(store) == undisturbed
    wait_until(lambda: not slurm.list_jobs())


def make_plan(journal: Path, seconds: float) -> Plan:
    """Two chains of stages of several epochs each."""
    return make_fake_chains(journal, width=2, epochs=8, seconds=seconds)


def read_results_by_name(store: Path) -> dict[str, Any]:
    """Return all that is stored; how long an epoch takes is in a signature, and in no result."""
    return {name: stored for name, *stored in read_stored_results(store).values()}
