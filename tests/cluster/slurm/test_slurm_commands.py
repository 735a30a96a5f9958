"""What is typed on a login node: `run --detach`, `status`, `cancel`, and `run` again."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.slurm.slurm_cluster import SlurmCluster
from command_lines import SMALL_MLP, Call
from store.fake_run import SUBPROCESS_ENVIRONMENT
from waiting import wait_until

pytestmark = pytest.mark.xdist_group("slurm")
STORE = "runtime.store=store"
POINTS = (*SMALL_MLP, "seed=0,1", STORE)
LONG_POINTS = (*SMALL_MLP[:-1], "recipe.epochs=1000000", "seed=0,1", STORE)
ON_SLURM = (
    "hydra/launcher=slurm",
    "hydra.launcher.squeue_seconds=0.5",
    "hydra.launcher.timeout_min=5",
    "hydra.launcher.signal_delay_s=60",
    "runtime.workers=2",
)


@pytest.fixture
def controller(slurm: SlurmCluster, here: Path) -> Iterator["subprocess.Popen[str]"]:
    """A command that stays with its run."""
    command = [sys.executable, "-m", "convarium", "run", *LONG_POINTS, *ON_SLURM]
    process = subprocess.Popen(
        command, env=slurm.environment | SUBPROCESS_ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.communicate()


def test_a_detached_run_is_seen_from_outside_and_its_points_are_there_afterwards(
    slurm: SlurmCluster, call: Call
) -> None:
    code, out, _ = call("run", *POINTS, *ON_SLURM, "--detach", "--json")
    detached = json.loads(out)
    assert (code, detached["points"], detached["stored"], len(detached["jobs"])) == (0, 2, 0, 2)
    assert set(list_jobs(call, *POINTS)) == set(detached["jobs"])
    wait_until(lambda: not slurm.list_jobs(), seconds=120.0)
    assert list_jobs(call) == {}
    assert not Path("store/runs", detached["run"]).exists()
    code, out, _ = call("run", *POINTS, *ON_SLURM, "--detach")
    assert (code, out) == (0, "2 of 2 points stored: nothing is left to run\n")
    code, out, _ = call("run", *POINTS, *ON_SLURM, "--detach", "--json")
    assert (code, json.loads(out)) == (0, {"run": None, "jobs": [], "points": 2, "stored": 2})
    code, out, _ = call("run", *POINTS, "--json")
    assert (code, [run["status"] for run in json.loads(out)["runs"]]) == (0, ["done", "done"])


def test_status_tells_of_each_job_and_cancel_by_points_ends_them(slurm: SlurmCluster, call: Call) -> None:
    out = call("run", *LONG_POINTS, *ON_SLURM, "--detach")[1]
    assert out.startswith("0 of 2 points stored\n2 jobs submitted: ")
    wait_until(lambda: all(job["signature"] for job in list_jobs(call).values()), seconds=120.0)
    jobs = list_jobs(call, *LONG_POINTS).values()
    assert {job["state"] for job in jobs} == {"running"}
    assert {job["reason"] for job in jobs} == {None}
    assert {job["host"] for job in jobs} <= {"node-a", "node-b"}
    running = json.loads(call("status", "--json", STORE)[1])["running"]
    assert {job["signature"] for job in jobs} == {stage["signature"] for stage in running}
    assert list_jobs(call, *POINTS) == {}, "these points are no business of that run"
    job_id = min(list_jobs(call))
    (line,) = [line for line in call("status", STORE)[1].splitlines() if line.split()[0] == job_id]
    assert " running " in line
    assert "train mlp-digits-s" in line
    assert call("run", *LONG_POINTS, *ON_SLURM, "--detach")[1].startswith(
        "0 of 2 points stored\n2 jobs already there: "
    )
    code, _, error = call("cancel", *POINTS)
    assert (code, "no run that makes just these points goes on in store" in error) == (2, True)
    code, out, _ = call("cancel", *LONG_POINTS)
    assert (code, out.splitlines()[1].startswith("2 jobs leaving at the next check: ")) == (0, True)
    wait_until(lambda: not slurm.list_jobs())
    assert not list(Path("store/runs").glob("*/run.json"))
    code, _, error = call("cancel", *LONG_POINTS)
    assert (code, "no run that makes just these points goes on in store" in error) == (2, True)


def test_a_controller_whose_run_is_cancelled_ends_with_a_line(
    slurm: SlurmCluster, controller: "subprocess.Popen[str]", call: Call
) -> None:
    wait_until(lambda: len(slurm.list_jobs("RUNNING")) == 2, seconds=120.0)
    out = call("run", *LONG_POINTS, *ON_SLURM, "--detach")[1]
    assert f"process {controller.pid} controls this run already, and submits what is missing" in out
    assert call("cancel", *LONG_POINTS)[0] == 0
    assert controller.wait(timeout=60) == 130
    assert controller.stderr is not None
    line = "convarium: cancelled by convarium cancel; what is done is stored, the same command continues\n"
    assert controller.stderr.read().endswith(line)
    wait_until(lambda: not slurm.list_jobs())
    assert not list(Path("store/runs").glob("*/run.json"))


def test_where_slurm_does_not_answer_status_says_so_and_tells_the_rest(
    slurm: SlurmCluster, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("run", *LONG_POINTS, *ON_SLURM, "--detach")
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "/nowhere")
        code, out, error = call("status", "--json", STORE)
    found = json.loads(out)
    assert (code, found["points"], found["jobs"]) == (0, 2, [])
    (line,) = error.splitlines()
    assert line.startswith("convarium: squeue is not installed here")
    assert line.endswith(" are not known")
    assert call("cancel", *LONG_POINTS)[0] == 0


def list_jobs(call: Call, *points: str) -> dict[str, dict[str, Any]]:
    """Return the jobs that `convarium status` tells of, by their ids."""
    return {job["id"]: job for job in json.loads(call("status", "--json", *(points or [STORE]))[1])["jobs"]}
