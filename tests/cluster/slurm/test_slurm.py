"""Workers that are jobs of a real Slurm."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cluster.cluster_run import count_begun
from cluster.slurm.slurm_cluster import SlurmCluster
from cluster.slurm.slurm_runs import make_fake_chains, run_on_slurm
from convarium.store.store import Store
from store.fake_run import make_fake_node, make_fake_plan
from waiting import wait_until

pytestmark = pytest.mark.xdist_group("slurm")


def test_workers_on_both_nodes_make_what_is_missing_and_leave_nothing_in_the_queue(
    slurm: SlurmCluster, store: Path, journal: Path
) -> None:
    plan = make_fake_chains(journal, width=4, epochs=2, seconds=0.3)
    assert run_on_slurm(plan, store, workers=4) == ["done"] * 8
    assert set(count_begun(journal).values()) == {1}
    assert slurm.list_jobs("PENDING") == []
    hosts = {record["host"]["name"] for record in Store(store).read_records()}
    assert hosts == {"node-a", "node-b"}


def test_there_are_as_many_jobs_as_there_is_to_do(slurm: SlurmCluster, store: Path, journal: Path) -> None:
    first = make_fake_node("first", epochs=10, seconds=0.2, journal=journal)
    short = [make_fake_node(f"short-{index}", [first], seconds=0.2, journal=journal) for index in range(3)]
    long = make_fake_node("long", [first], epochs=60, seconds=0.2, journal=journal)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(run_on_slurm, make_fake_plan(first, *short, long), store, 4)
        wait_until(lambda: bool(list(store.glob("*/*/checkpoints/state.json"))))
        assert len(slurm.list_jobs()) == 1, "more was asked for than can be done"
        wait_until(lambda: len(slurm.list_jobs()) > 1)
        wait_until(lambda: len(slurm.list_jobs("RUNNING")) == 1)
        assert not future.done(), "those that found nothing to do should have left before the end"
        assert future.result() == ["done"] * 5
    assert set(count_begun(journal).values()) == {1}
