"""`convarium cancel RUN` ends a run that no process controls."""

import json
from pathlib import Path

import pytest

from cluster.slurm.slurm_cluster import SlurmCluster
from cluster.slurm.slurm_runs import detach_on_slurm, make_fake_chains, run_on_slurm
from command_lines import Call
from convarium.workers.slurm_queue import read_queue
from waiting import wait_until

pytestmark = pytest.mark.xdist_group("slurm")
ALL_DONE = ["done"] * 4


@pytest.fixture
def busy_slurm(slurm: SlurmCluster) -> SlurmCluster:
    """A Slurm with room for one job."""
    slurm.submit("--exclusive", "--nodes=1", "--wrap=sleep 100", "--job-name=other")
    slurm.submit("--ntasks=1", "--wrap=sleep 100", "--job-name=other")
    wait_until(lambda: len(slurm.list_jobs("RUNNING")) == 2)
    return slurm


def test_a_detached_run_is_ended_and_goes_on_from_its_checkpoints_when_it_is_asked_for_again(
    busy_slurm: SlurmCluster, store: Path, journal: Path, call: Call
) -> None:
    plan = make_fake_chains(journal, width=2, epochs=40, seconds=0.2)
    run = detach_on_slurm(plan, store, 2).run
    wait_until(lambda: len(list(store.glob("*/*/checkpoints/state.json"))) == 1)
    (waiting,) = [job_id for job_id, job in read_queue(run.id).jobs.items() if job.is_waiting]
    code, out, _ = call("cancel", str(run.folder), "--json")
    assert (code, json.loads(out)) == (0, {"run": run.id, "cancelled_jobs": [waiting]})
    assert not run.folder.exists()
    wait_until(lambda: all(job.is_over for job in read_queue(run.id).jobs.values()))
    busy_slurm.call("scancel", "--name=other")
    (checkpoint,) = store.glob("*/*/checkpoints/state.json")
    epochs_done = json.loads(checkpoint.read_text())["epoch"]
    assert epochs_done > 0
    assert not list(store.glob("*/*/failed.json"))
    code, _, error = call("cancel", str(run.folder))
    assert (code, error) == (2, f"convarium: {run.folder}: the run is over\n")
    assert run_on_slurm(plan, store, 2) == ALL_DONE
