"""Controllers of one run on Slurm: one controls it, others follow; jobs go on without any."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.cluster_run import count_begun
from cluster.slurm.slurm_cluster import SlurmCluster
from cluster.slurm.slurm_runs import make_fake_chains, run_on_slurm
from convarium.errors import UserError
from convarium.store.store import Store
from convarium.workers.run_file import Run
from convarium.workers.stored_runs import find_dead_runs
from waiting import wait_until

pytestmark = pytest.mark.xdist_group("slurm")
ALL_DONE = ["done"] * 4
BeginController = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def begin_controller(slurm: SlurmCluster, store: Path, journal: Path) -> Iterator[BeginController]:
    """Begin a controller of the same two chains of stages."""
    processes: list[subprocess.Popen[str]] = []

    def begin(epochs: int = 10, seconds: float = 0.2) -> "subprocess.Popen[str]":
        arguments = [str(store), str(journal), "2", str(epochs), str(seconds)]
        command = [sys.executable, "-m", "cluster.slurm.slurm_runs", *arguments]
        pipe = subprocess.PIPE
        processes.append(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True))
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def test_a_killed_controller_leaves_its_jobs_working_and_the_same_command_takes_them_over(
    begin_controller: BeginController, slurm: SlurmCluster, store: Path, journal: Path
) -> None:
    first = begin_controller()
    wait_until(lambda: len(count_begun(journal)) == 2)
    first.kill()
    first.wait()
    jobs = {job for job, _, _ in slurm.list_jobs()}
    assert list(find_dead_runs(Store(store))) == []
    second = begin_controller()
    assert json.loads(second.communicate(timeout=60)[0]) == ALL_DONE
    newest = max(int(job.split("_")[0]) for job, _, _ in slurm.list_jobs("all"))
    assert newest == max(int(job.split("_")[0]) for job in jobs), "it submitted jobs of its own"
    assert set(count_begun(journal).values()) == {1}


def test_two_login_nodes_submit_once_and_the_second_takes_over_when_the_first_is_dead(
    begin_controller: BeginController, slurm: SlurmCluster, store: Path, journal: Path
) -> None:
    processes = {process.pid: process for process in (begin_controller(), begin_controller())}
    wait_until(lambda: len(count_begun(journal)) == 2)
    assert len(slurm.list_jobs()) == 2
    (run_file,) = store.glob("runs/*/run.json")
    controller = processes.pop(Run.read(run_file).controller.pid)
    (follower,) = processes.values()
    assert follower.stderr is not None
    assert f"process {controller.pid} controls this run already" in follower.stderr.readline()
    controller.kill()
    assert json.loads(follower.communicate(timeout=60)[0]) == ALL_DONE
    assert set(count_begun(journal).values()) == {1}


def test_ctrl_c_of_who_follows_only_stops_looking(
    begin_controller: BeginController, slurm: SlurmCluster, journal: Path
) -> None:
    first = begin_controller()
    wait_until(lambda: len(count_begun(journal)) == 2)
    second = begin_controller()
    assert second.stderr is not None
    assert "controls this run already" in second.stderr.readline()
    second.send_signal(signal.SIGINT)
    assert second.wait(timeout=60) != 0
    assert len(slurm.list_jobs("RUNNING")) == 2
    assert json.loads(first.communicate(timeout=60)[0]) == ALL_DONE


def test_ctrl_c_of_who_controls_stops_the_run_and_who_follows_is_told(
    begin_controller: BeginController, slurm: SlurmCluster, store: Path, journal: Path
) -> None:
    slurm.submit("--exclusive", "--nodes=1", "--wrap=sleep 60", "--job-name=other")
    slurm.submit("--ntasks=1", "--wrap=sleep 60", "--job-name=other")  # so that one job of the run has to wait
    first = begin_controller(epochs=1000)
    wait_until(lambda: len(count_begun(journal)) == 1 and len(slurm.list_jobs("PENDING")) == 1)
    second = begin_controller(epochs=1000)
    assert second.stderr is not None
    assert "controls this run already" in second.stderr.readline()
    first.send_signal(signal.SIGINT)
    assert first.wait(timeout=60) != 0
    assert "has ended it" in second.communicate(timeout=60)[0]
    wait_until(lambda: not [job for job in slurm.list_jobs() if job[1] != "RUNNING"] and len(slurm.list_jobs()) == 2)
    assert not list(store.glob("runs/*/run.json"))
    assert not list(store.glob("*/*/failed.json"))


def test_a_mistake_in_the_command_that_takes_a_run_over_leaves_its_jobs_alone(
    begin_controller: BeginController, slurm: SlurmCluster, store: Path, journal: Path
) -> None:
    first = begin_controller(epochs=20)
    wait_until(lambda: len(count_begun(journal)) == 2)
    first.kill()
    first.wait()
    plan = make_fake_chains(journal, width=2, epochs=20, seconds=0.2)
    with pytest.raises(UserError, match="no such setting"):
        run_on_slurm(plan, store, 2, partitions="main")
    assert run_on_slurm(plan, store, 2) == ALL_DONE
    assert set(count_begun(journal).values()) == {1}
