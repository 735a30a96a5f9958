"""Looks at Slurm's queue, which does not always answer."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from convarium.store.store import Store
from convarium.workers import slurm_queue
from convarium.workers.run_file import Run
from convarium.workers.slurm_command import SlurmRefusal
from convarium.workers.slurm_queue import SlurmQueue
from convarium.workers.stored_runs import find_dead_runs
from store.fake_run import make_fake_plan

Install = Callable[[str], None]
ANSWER = """
echo '7_0|RUNNING|0|None|node-a|1-02:03:04|'
echo '7_1|PENDING|2|BeginTime||0:00|'
echo '7_2|COMPLETED|0|None|node-b|12:34|'
"""


@pytest.fixture
def install_squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a squeue that is a shell script and counts its calls."""
    file = tmp_path / "bin" / "squeue"
    file.parent.mkdir()
    monkeypatch.setenv("PATH", f"{file.parent}:/usr/bin:/bin")

    def install(script: str) -> None:
        file.write_text(f"#!/bin/sh\necho >> {tmp_path}/calls\n{script}\n")
        file.chmod(0o755)

    return install


def test_the_queue_is_asked_once_in_a_while_for_all_jobs(install_squeue: Install, tmp_path: Path) -> None:
    install_squeue(ANSWER)
    queue = SlurmQueue("run", rest_seconds=60.0)
    views = [queue.look() for _ in range(20)]
    assert (tmp_path / "calls").read_text() == "\n"
    assert {view.begun_at for view in views} == {queue.view.begun_at}
    jobs = views[0].jobs
    assert [jobs[job].is_running for job in ("7_0", "7_1", "7_2")] == [True, False, False]
    assert [jobs[job].is_waiting for job in ("7_0", "7_1", "7_2")] == [False, True, False]
    assert jobs["7_1"].restarts == 2
    assert [jobs[job].reason for job in ("7_0", "7_1", "7_2")] == [None, "BeginTime", None]
    assert [jobs[job].host for job in ("7_0", "7_1", "7_2")] == ["node-a", None, "node-b"]
    assert [jobs[job].seconds for job in ("7_0", "7_1", "7_2")] == [93784, 0, 754]


def test_that_it_does_not_answer_is_borne_for_a_while(install_squeue: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install_squeue(ANSWER)
    queue = SlurmQueue("run", rest_seconds=0.0)
    install_squeue("echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    assert len(queue.look().jobs) == 3
    monkeypatch.setattr(slurm_queue, "PATIENCE_SECONDS", time.monotonic() - queue.view.begun_at)
    with pytest.raises(SlurmRefusal, match=r"Slurm has not answered for .* Unable to contact slurm controller"):
        queue.look()


@pytest.mark.parametrize(
    ("script", "is_dead"),
    [(ANSWER, False), ("echo '7_0|CANCELLED|0|None|node-a|0:01|'", True), ("exit 0", True), ("exit 1", False)],
)
def test_a_run_without_controller_lives_while_slurm_knows_a_job_of_it_or_does_not_answer(
    install_squeue: Install, tmp_path: Path, script: str, is_dead: bool
) -> None:
    install_squeue(script)
    store = Store(tmp_path / "store")
    store.prepare()
    run = Run(
        id="0123456789abcdef", store=store.root, plan=None, workers=1, threads=1, devices=0,
        controller=Run.begin(make_fake_plan(), store, 1).controller, owner="runs/owners/gone", scheduler="slurm",
    )  # fmt: skip
    run.write()
    assert (run.folder in set(find_dead_runs(store))) == is_dead
