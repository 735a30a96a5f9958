"""What a stage fails by whose workers are jobs of a real Slurm."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.cluster_run import count_begun
from cluster.slurm.slurm_cluster import NODES, SlurmCluster
from cluster.slurm.slurm_runs import run_on_slurm
from convarium.planning.plan import Node
from convarium.store.store import Store
from store.fake_run import make_fake_node, make_fake_plan
from waiting import wait_until

pytestmark = pytest.mark.xdist_group("slurm")


def test_what_gets_to_no_checkpoint_within_the_time_limit_three_times_is_not_queued_again(
    slurm: SlurmCluster, store: Path, journal: Path
) -> None:
    """Slurm looks at time limits twice a minute: what it sends then is sent here at once."""
    slow = make_fake_node("slow", stage="decide", journal=journal)
    told: set[int] = set()

    def send_notice() -> None:
        begun = count_begun(journal)["slow"]
        if begun not in (0, *told):
            told.add(begun)
            for job, _, _ in slurm.list_jobs("RUNNING"):
                slurm.call("scancel", "--signal=USR2", job)

    failure = run_until_failed(slurm, store, slow, send_notice, timeout_min=1, signal_delay_s=59)
    assert failure["cause"] == "time limit"
    assert failure["error"].endswith("3 times without a checkpoint in between: raise hydra.launcher.timeout_min")
    assert failure["host"] in NODES
    assert count_begun(journal) == {"slow": 3}
    wait_until(lambda: not slurm.list_jobs())


def test_what_kills_its_workers_fails_by_what_slurm_says_of_their_jobs(
    slurm: SlurmCluster, store: Path, journal: Path
) -> None:
    bad = make_fake_node("bad", stage="fail", how="killed", journal=journal)
    failure = run_until_failed(slurm, store, bad)
    assert failure["cause"] == "killed"
    assert failure["error"].endswith("Slurm ended its job as FAILED")
    assert failure["host"] in NODES
    assert count_begun(journal) == {"bad": 3}


def test_what_takes_more_memory_than_its_job_may_have_says_which_setting_to_raise(
    slurm: SlurmCluster, store: Path, journal: Path
) -> None:
    large = make_fake_node("large", stage="fail", how="grow", journal=journal)
    failure = run_until_failed(slurm, store, large, mem_gb=0.3)
    assert failure["cause"] == "out of memory"
    assert failure["error"].endswith("raise hydra.launcher.mem_gb")
    assert failure["host"] in NODES
    assert count_begun(journal) == {"large": 3}


def run_until_failed(
    slurm: SlurmCluster, store: Path, node: Node, disturb: Callable[[], None] = lambda: None, **settings: Any
) -> dict[str, Any]:
    """Run a stage until it has failed, and let no job wait longer than it must; return its failure."""

    ends: list[str] = []

    def run() -> None:
        ends.extend(run_on_slurm(make_fake_plan(node), store, 1, **settings))

    def is_done() -> bool:
        disturb()
        slurm.hurry()
        return bool(ends)

    threading.Thread(target=run, daemon=True).start()
    wait_until(is_done)
    failure = Store(store).find_failure(node.signature)
    assert failure is not None, ends
    return failure
