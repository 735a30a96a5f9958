"""`convarium work` that is told to leave by whoever has started it, such as a scheduler."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from convarium.planning.plan import Node
from convarium.store.store import Store
from convarium.workers.lease import LeaseManager
from convarium.workers.leave_notice import END_VARIABLE, NOTICE_VARIABLE
from convarium.workers.run_file import Run
from store.fake_run import SUBPROCESS_ENVIRONMENT, make_fake_node, make_fake_plan
from waiting import wait_until

LEFT = "left, as this worker was told to; what it was at goes on elsewhere\n"


@pytest.mark.parametrize("fresh", [False, True])
def test_it_leaves_at_its_next_check_when_there_is_time(tmp_path: Path, fresh: bool) -> None:
    slow = make_fake_node("slow", epochs=1000, seconds=0.2, journal=tmp_path / "journal", fresh=fresh)
    process, run = _start_work(tmp_path, slow, notice_seconds=60)
    process.send_signal(signal.SIGUSR2)
    assert process.communicate(timeout=60) == (LEFT, "")
    assert process.returncode == 0
    _check_left(run, slow)
    assert (Store(run.store).folder_of(slow) / "checkpoints" / "state.json").exists()


def test_what_has_no_check_for_long_is_told_and_keeps_what_it_did(tmp_path: Path) -> None:
    asked = make_fake_node("asked", stage="ask", journal=tmp_path / "journal")
    process, run = _start_work(tmp_path, asked, notice_seconds=60)
    process.send_signal(signal.SIGUSR2)
    assert process.communicate(timeout=60) == (LEFT, "")
    _check_left(run, asked)
    assert (Store(run.store).folder_of(asked) / "checkpoints" / "state.json").exists()


def test_it_leaves_at_once_when_half_of_the_time_is_over(tmp_path: Path) -> None:
    endless = make_fake_node("endless", stage="disguise", how="", journal=tmp_path / "journal")
    process, run = _start_work(tmp_path, endless, notice_seconds=3)
    begin = time.monotonic()
    process.send_signal(signal.SIGUSR2)
    assert process.communicate(timeout=60)[0] == LEFT
    assert time.monotonic() - begin > 1.4
    assert process.returncode == 0
    _check_left(run, endless)


def test_it_leaves_at_once_when_its_end_is_near(tmp_path: Path) -> None:
    endless = make_fake_node("endless", stage="disguise", how="", journal=tmp_path / "journal")
    process, run = _start_work(tmp_path, endless, notice_seconds=3600)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60)[0] == LEFT
    assert process.returncode == 0
    _check_left(run, endless)


@pytest.mark.parametrize(
    ("stage", "seconds_left", "leaves"),
    [
        ("decide", 30, 1),
        ("decide", 3600, 0),  # it makes room for others
        ("decide", None, 0),  # nobody knows when its time ends
        ("ask", 30, 0),  # it has made a checkpoint
    ],
)
def test_only_who_leaves_without_a_checkpoint_because_its_time_is_over_is_counted(
    tmp_path: Path, stage: str, seconds_left: int | None, leaves: int
) -> None:
    node = make_fake_node("slow", stage=stage, journal=tmp_path / "journal")
    process, run = _start_work(tmp_path, node, notice_seconds=60, seconds_left=seconds_left)
    process.send_signal(signal.SIGUSR2)
    assert process.communicate(timeout=60)[0] == LEFT
    lease_info = LeaseManager(run.id).read(Store(run.store).folder_of(node))
    assert lease_info is not None
    assert (lease_info.state, lease_info.leaves) == ("released", leaves)


def _start_work(
    folder: Path, node: Node, notice_seconds: int, seconds_left: int | None = None
) -> tuple["subprocess.Popen[str]", Run]:
    """Return a worker that has begun a node of a run."""
    store = Store(folder / "store")
    store.prepare()
    run = Run.begin(make_fake_plan(node), store, 1)
    ends = {} if seconds_left is None else {END_VARIABLE: str(time.time() + seconds_left)}
    process = subprocess.Popen(
        [sys.executable, "-m", "convarium", "work", str(run.folder)],
        env=SUBPROCESS_ENVIRONMENT | {NOTICE_VARIABLE: str(notice_seconds)} | ends,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until((folder / "journal").exists)
    return process, run


def _check_left(run: Run, node: Node) -> None:
    folder = Store(run.store).folder_of(node)
    lease_info = LeaseManager(run.id).read(folder)
    assert lease_info is not None
    assert lease_info.state == "released"
    assert not (folder / "failed.json").exists()
    assert os.listdir(run.places_folder), "it should have had a place"
    assert not any(run.find_living_places())
