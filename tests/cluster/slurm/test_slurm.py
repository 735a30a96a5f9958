"""Workers that are jobs of a real Slurm, and what becomes of them on the way."""

from pathlib import Path

import pytest

from cluster.cluster_run import count_begun
from cluster.slurm.slurm_cluster import SlurmCluster
from cluster.slurm.slurm_runs import make_fake_chains, run_on_slurm
from convarium.store.store import Store

pytestmark = pytest.mark.xdist_group("slurm")


def test_workers_on_both_nodes_make_what_is_missing_and_leave_nothing_in_the_queue(
    slurm: SlurmCluster, store: Path, journal: Path
) -> None:
    plan = make_fake_chains(journal, width=4, epochs=2, seconds=0.3)
    assert run_on_slurm(plan, store, workers=4) == ["done"] * 8
    assert set(count_begun(journal).values()) == {1}
    hosts = {record["host"]["name"] for record in Store(store).read_records()}
    assert hosts == {"node-a", "node-b"}
