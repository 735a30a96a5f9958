"""A stage that is given up says what its last worker died of."""

from collections.abc import Callable
from pathlib import Path

import pytest

from convarium.host.process import current_process
from convarium.store.store import Store
from convarium.workers import giving_up
from convarium.workers.giving_up import record_deaths
from convarium.workers.lease import LeaseManager
from convarium.workers.run_file import Run
from convarium.workers.run_stage import StageRun
from convarium.workers.slurm_job import SlurmJob
from store.fake_run import make_fake_node, make_fake_plan

GiveUp = Callable[[str], tuple[str, str]]
NODE = make_fake_node("node")


@pytest.fixture
def give_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GiveUp:
    """Give up a stage whose last worker, job 7, is gone; squeue is the shell script that the test says."""
    squeue = tmp_path / "bin" / "squeue"
    squeue.parent.mkdir()
    monkeypatch.setenv("PATH", f"{squeue.parent}:/usr/bin:/bin")
    store = Store(tmp_path / "store")
    store.prepare()
    run = Run.begin(make_fake_plan(NODE), store, 1)
    leases = LeaseManager(run.id)
    folder = store.folder_of(NODE)
    folder.mkdir(parents=True)
    lost = leases.take(folder, SlurmJob("7", 0).to_details())
    assert lost is not None
    lost_info = leases.read(folder)
    assert lost_info is not None
    assert leases.mark_dead(folder, lost.token, leases.explain_death(lost_info))

    def give_up(script: str) -> tuple[str, str]:
        squeue.write_text(f"#!/bin/sh\n{script}\n")
        squeue.chmod(0o755)
        lease = leases.take(folder)
        assert lease is not None
        line = record_deaths(StageRun(NODE, lease, store, run, threads=1))
        failure = Store(store.root).find_failure(NODE.signature)
        assert failure is not None
        assert (failure["error"], failure["host"]) == (line, current_process().host)
        return failure["cause"], failure["error"]

    return give_up


def test_slurm_is_asked_what_only_slurm_knows(give_up: GiveUp) -> None:
    cause, line = give_up("echo '7|OUT_OF_MEMORY|0|None|node-a|0:01|'")
    assert cause == "out of memory"
    advice = "Slurm ended its job as OUT_OF_MEMORY, out of memory: raise hydra.launcher.mem_gb"
    assert line.endswith(f"the last time on {current_process().host}: {advice}")


def test_a_job_that_is_about_to_end_is_waited_for(
    give_up: GiveUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(giving_up, "QUEUE_POLL_SECONDS", 0.01)
    choose_state = f"state=COMPLETING; [ -e {tmp_path}/asked ] && state=NODE_FAIL; echo > {tmp_path}/asked"
    cause, _ = give_up(f'{choose_state}; echo "7|$state|0|None|node-a|0:01|"')
    assert cause == "lost node"


@pytest.mark.parametrize("script", ["exit 1", "exit 0", "echo '7|PENDING|1|None|node-a|0:01|'"])
def test_where_slurm_does_not_say_nothing_is_made_up(give_up: GiveUp, script: str) -> None:
    cause, line = give_up(script)
    assert cause == "killed"
    assert line.endswith("its process was gone, and nobody saw why")


def test_a_job_that_goes_on_is_waited_for_no_longer_than_it_takes(
    give_up: GiveUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(giving_up, "QUEUE_SECONDS", 0.1)
    monkeypatch.setattr(giving_up, "QUEUE_POLL_SECONDS", 0.01)
    assert give_up("echo '7|RUNNING|0|None|node-a|0:01|'")[0] == "killed"
