"""Runs that no process controls: their jobs do all the work, and end them."""

import subprocess
from pathlib import Path

import pytest

from cluster.cluster_run import count_begun
from cluster.slurm.slurm_cluster import SlurmCluster
from cluster.slurm.slurm_runs import detach_on_slurm, make_fake_chains, run_on_slurm
from convarium.cli.job_table import summarise_jobs
from convarium.errors import UserError
from convarium.store.store import Store
from convarium.workers.slurm_queue import read_queue
from convarium.workers.stored_runs import find_living_runs
from store.fake_run import make_fake_node, make_fake_plan
from waiting import wait_until

pytestmark = pytest.mark.xdist_group("slurm")
ALL_DONE = ["done"] * 4


def test_a_detached_run_is_made_by_its_jobs_and_leaves_nothing_behind(
    slurm: SlurmCluster, store: Path, journal: Path
) -> None:
    detached = detach_on_slurm(make_fake_chains(journal, width=2, epochs=3, seconds=0.2), store, 8)
    assert len(detached.submitted_jobs) == 2, "as many as can work at the same time"
    assert sorted(job for job, _, _ in slurm.list_jobs()) == sorted(detached.submitted_jobs)
    wait_until(lambda: not slurm.list_jobs())
    assert len(list(Store(store).read_records())) == 4
    assert not list((store / "runs").glob("*/run.json"))
    assert not detached.run.folder.exists()
    assert set(count_begun(journal).values()) == {1}


def test_a_worker_that_frees_more_than_there_are_jobs_for_submits_the_difference(
    slurm: SlurmCluster, store: Path, journal: Path
) -> None:
    first = make_fake_node("first", epochs=50, seconds=0.2, journal=journal)
    others = [make_fake_node(f"next-{index}", [first], epochs=10, seconds=0.2, journal=journal) for index in range(3)]
    detached = detach_on_slurm(make_fake_plan(first, *others), store, 3)
    wait_until(lambda: len(slurm.list_jobs()) == 1)
    assert count_begun(journal) == {"first": 1}, "those that found nothing to do should have left before its end"
    wait_until(lambda: len(slurm.list_jobs()) == 3)
    assert len(detached.submitted_jobs) == 3
    assert len(read_queue(detached.run.id).jobs) == 3 + 2
    wait_until(lambda: not slurm.list_jobs())
    assert set(count_begun(journal).values()) == {1}
    assert not detached.run.folder.exists()


def test_where_workers_may_not_submit_status_says_what_submits_the_missing_jobs(
    slurm: SlurmCluster, store: Path, journal: Path, tmp_path: Path
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "srun").symlink_to("/usr/bin/srun")
    first = make_fake_node("first", epochs=50, seconds=0.2, journal=journal)
    others = [make_fake_node(f"next-{index}", [first], epochs=60, seconds=0.2, journal=journal) for index in range(3)]
    detach_on_slurm(make_fake_plan(first, *others), store, 3, setup=[f"export PATH={programs}"])
    wait_until(lambda: bool(summarise_jobs(Store(store), None)["missing_jobs"]))
    (missing,) = summarise_jobs(Store(store), None)["missing_jobs"]
    assert missing["count"] == 2
    assert "squeue is not installed here" in missing["reason"]
    subprocess.run(missing["command"].split(), check=True, capture_output=True)
    wait_until(lambda: len(slurm.list_jobs("RUNNING")) == 3)
    assert summarise_jobs(Store(store), None)["missing_jobs"] == []
    wait_until(lambda: not slurm.list_jobs())
    assert set(count_begun(journal).values()) == {1}


def test_detached_again_only_what_is_missing_is_submitted(slurm: SlurmCluster, store: Path, journal: Path) -> None:
    plan = make_fake_chains(journal, width=2, epochs=30, seconds=0.2)
    first = detach_on_slurm(plan, store, 2)
    wait_until(lambda: len(count_begun(journal)) == 2)
    second = detach_on_slurm(plan, store, 2)
    assert (second.run.id, set(second.jobs), second.submitted_jobs) == (first.run.id, set(first.submitted_jobs), ())
    slurm.call("scancel", "--signal=KILL", "--full", first.submitted_jobs[0])
    wait_until(lambda: len(slurm.list_jobs()) == 1)
    third = detach_on_slurm(plan, store, 2)
    assert third.jobs == first.submitted_jobs[1:]
    assert len(third.submitted_jobs) == 1


def test_a_later_command_follows_the_jobs_of_a_detached_run(slurm: SlurmCluster, store: Path, journal: Path) -> None:
    plan = make_fake_chains(journal, width=2, epochs=20, seconds=0.2)
    detached = detach_on_slurm(plan, store, 2)
    wait_until(lambda: len(count_begun(journal)) == 2)
    assert run_on_slurm(plan, store, 2) == ALL_DONE
    assert set(read_queue(detached.run.id).jobs) == set(detached.submitted_jobs)
    assert set(count_begun(journal).values()) == {1}
    assert not detached.run.folder.exists()


def test_what_slurm_refuses_leaves_no_run_behind(slurm: SlurmCluster, store: Path, journal: Path) -> None:
    before = len(slurm.list_jobs("all"))
    with pytest.raises(UserError, match="invalid partition specified: nope"):
        detach_on_slurm(make_fake_chains(journal, 1, 1, 0.0), store, 2, partition="nope")
    assert len(slurm.list_jobs("all")) == before
    assert list(find_living_runs(Store(store))) == []
    assert not list(store.glob("runs/*/run.json"))
