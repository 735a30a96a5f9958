"""A worker: which of the ready stages it takes, and when."""

import itertools
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import datetime
from errno import EACCES
from pathlib import Path
from typing import Any

import pytest

from convarium.host import room as room_module
from convarium.host.process import current_process
from convarium.host.room import FOLDER_VARIABLE
from convarium.store.store import Store
from convarium.workers.lease import LeaseManager
from convarium.workers.ready_nodes import PlanMonitor
from convarium.workers.run_file import Run
from convarium.workers.worker import Worker
from convarium.workers.worker_process import run_worker
from store.fake_run import (
    SUBPROCESS_ENVIRONMENT,
    begin_fake_run,
    launch_in_processes,
    launch_in_thread,
    make_fake_node,
    make_fake_plan,
    run_plan_silently,
)


def test_every_stage_gets_exactly_what_is_hashed(tmp_path: Path) -> None:
    one = make_fake_node("echo", stage="echo", journal=tmp_path / "journal")
    run_plan_silently(make_fake_plan(one), tmp_path, launch_in_processes, workers=1)
    result = Store(tmp_path).find_record(one.signature)
    assert result is not None
    assert result["result"]["stage_config"] == result["stage_config"] == one.stage_config


def test_eight_workers_make_the_one_parent_of_all_once(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    parent = make_fake_node("parent", journal=journal, seconds=0.2)
    children = [make_fake_node(f"child{index}", [parent], journal=journal) for index in range(16)]
    statuses = run_plan_silently(make_fake_plan(parent, *children), tmp_path / "store", launch_in_processes, workers=8)
    assert {status.state for status in statuses.values()} == {"done"}
    made = Counter(line.split()[0] for line in journal.read_text().splitlines())
    assert made == {"parent": 1, **{f"child{index}": 1 for index in range(16)}}


def test_eight_processes_make_the_one_parent_of_all_once(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    parent = make_fake_node("parent", journal=journal, seconds=0.5)
    run_plan_silently(
        make_fake_plan(parent, *(make_fake_node(f"c{i}", [parent], journal=journal) for i in range(8))),
        tmp_path,
        launch_in_processes,
        workers=8,
    )
    made = Counter(line.split()[0] for line in journal.read_text().splitlines())
    assert set(made.values()) == {1}
    assert len(made) == 9


def test_three_hundred_stages_are_made_once_each(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    parents = [make_fake_node(f"p{index}", journal=journal) for index in range(20)]
    children = [make_fake_node(f"c{index}", [parents[index % 20]], journal=journal) for index in range(280)]
    statuses = run_plan_silently(make_fake_plan(*parents, *children), tmp_path, launch_in_processes, workers=4)
    assert {status.state for status in statuses.values()} == {"done"}
    assert len(journal.read_text().splitlines()) == len(statuses) == 300


def test_the_longest_path_comes_first_then_parents_of_many() -> None:
    alone, lean, broad = make_fake_node("alone"), make_fake_node("lean"), make_fake_node("broad")
    short = [make_fake_node("s", [lean]), *(make_fake_node(f"b{index}", [broad]) for index in range(3))]
    head = make_fake_node("head")
    chain = [head, make_fake_node("middle", [head])]
    chain.append(make_fake_node("tail", [chain[1]]))
    survey = PlanMonitor(make_fake_plan(alone, lean, broad, *short, *chain)).read_state(Store(Path("nowhere")), "run")
    assert [ready.name for ready in survey.ready] == ["head", "broad", "lean", "alone"]


def test_a_failing_stage_blocks_only_what_comes_after_it(tmp_path: Path) -> None:
    good, bad = make_fake_node("good"), make_fake_node("bad", stage="fail", how="stage")
    after_good = make_fake_node("after-good", [good])
    after_bad = make_fake_node("after-bad", [bad])
    last = make_fake_node("last", [after_bad, good])
    statuses = run_plan_silently(make_fake_plan(good, bad, after_good, after_bad, last), tmp_path, launch_in_processes)
    states = {one.name: statuses[one.signature].state for one in (good, bad, after_good, after_bad, last)}
    assert states == {"good": "done", "bad": "failed", "after-good": "done", "after-bad": "blocked", "last": "blocked"}
    assert statuses[last.signature].error == "bad: the loss is NaN"


def test_a_stage_that_kills_its_worker_fails_after_three_workers(tmp_path: Path) -> None:
    bad = make_fake_node("bad", stage="fail", how="killed", journal=tmp_path / "journal")
    good = [make_fake_node(f"good{index}", seconds=0.2) for index in range(3)]
    statuses = run_plan_silently(make_fake_plan(bad, *good), tmp_path, launch_in_processes)
    line = (
        f"its processes were lost 3 times without a checkpoint in between, the last time on {current_process().host}: "
    )
    assert statuses[bad.signature].error == f"bad: {line}its process was gone, and nobody saw why"
    assert statuses[bad.signature].cause == "killed"
    assert {statuses[one.signature].state for one in good} == {"done"}
    assert len((tmp_path / "journal").read_text().splitlines()) == 3


@pytest.mark.parametrize("_", range(3))
def test_a_suspect_runs_alone(_: int, tmp_path: Path) -> None:
    """What has died twice with others around gets the machine for itself, and others wait for it."""
    suspect, other = make_fake_node("suspect", seconds=0.3), make_fake_node("other", seconds=0.3)
    begun = begin_fake_run(make_fake_plan(suspect, other), tmp_path, workers=2)
    folder = Store(begun.store).folder_of(suspect)
    folder.mkdir(parents=True)
    for _ in range(2):
        _die_as_owner(folder, begun.id)
    workers = [threading.Thread(target=run_worker, args=(begun.file, number)) for number in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    first, second = sorted(Store(begun.store).read_records(), key=lambda done: str(done["started"]))
    pause = datetime.fromisoformat(second["started"]) - datetime.fromisoformat(first["started"])
    assert pause.total_seconds() >= first["seconds"] - 0.01


def test_what_takes_the_time_runs_alone(tmp_path: Path) -> None:
    clock = replace(make_fake_node("clock", seconds=0.3), runtime={"root": None, "alone": True})
    others = [make_fake_node(f"other{index}", seconds=0.3) for index in range(4)]
    run_plan_silently(make_fake_plan(clock, *others), tmp_path, launch_in_processes, workers=3)
    spans = {done["name"]: _span(done) for done in Store(tmp_path).read_records()}
    start, end = spans.pop("clock")
    assert all(ended <= start + 0.01 or end <= started + 0.01 for started, ended in spans.values())


def test_what_takes_the_time_waits_for_its_own_host_only(tmp_path: Path) -> None:
    """Two hosts are two folders of locks: a long stage on one does not keep the other from timing."""
    clock = replace(make_fake_node("clock", seconds=0.1), runtime={"root": None, "alone": True})
    long = make_fake_node("long", seconds=0.3, epochs=10)
    run = begin_fake_run(make_fake_plan(long, clock), tmp_path, workers=2)
    workers = [_start_worker_on_host(run, number, tmp_path / f"host{number}") for number in range(2)]
    for worker in workers:
        worker.wait()
    spans = {done["name"]: _span(done) for done in Store(tmp_path).read_records()}
    assert spans["clock"][1] < spans["long"][1], "it did not wait for the other host's stage"


def test_what_another_worker_has_made_since_the_survey_is_passed_over(tmp_path: Path) -> None:
    one, two = make_fake_node("one"), make_fake_node("two")
    run = begin_fake_run(make_fake_plan(one, two), tmp_path, workers=1)
    worker = Worker(run, [])
    worker.queue.survey_if_due()
    run_plan_silently(make_fake_plan(one), tmp_path, launch_in_processes, workers=1)
    assert worker._run_next_node()
    assert worker.queue.done == {one.signature, two.signature}


def test_lock_files_that_cant_be_opened_fail_what_takes_times_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: Path, kind: int) -> int:
        raise PermissionError(EACCES, "It is for all users, but not readable for all", str(file))

    monkeypatch.setattr(room_module, "try_lock", refuse)
    clock = replace(make_fake_node("clock", stage="time_alone"), runtime={"root": None, "alone": True})
    other = make_fake_node("other")
    statuses = run_plan_silently(make_fake_plan(clock, other), tmp_path, launch_in_thread, workers=1)
    assert statuses[other.signature].state == "done"
    assert statuses[clock.signature].state == "failed"
    assert "not readable for all" in str(statuses[clock.signature].error)


def test_a_worker_surveys_the_store_seldom_and_still_makes_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It works off what was ready, and what it has made ready itself: parents first, then their children."""
    surveys: list[float] = []
    read_state = PlanMonitor.read_state

    def read_state_slowly(*arguments: Any) -> Any:
        surveys.append(time.monotonic())
        time.sleep(0.05)
        return read_state(*arguments)

    monkeypatch.setattr(PlanMonitor, "read_state", read_state_slowly)
    parents = [make_fake_node(f"p{index}", seconds=0.01) for index in range(10)]
    children = [make_fake_node(f"c{index}", [parents[index]], seconds=0.01) for index in range(10)]
    run = begin_fake_run(make_fake_plan(*parents, *children), tmp_path, workers=1)
    Worker(run, []).run_ready_nodes()
    assert len(list(Store(tmp_path).read_records())) == 20
    pauses = [second - first for first, second in itertools.pairwise(surveys)]
    assert min(pauses) > 20 * 0.05
    names = [done["name"] for done in sorted(Store(tmp_path).read_records(), key=lambda done: str(done["started"]))]
    assert names[:4] == ["p0", "c0", "p1", "c1"]


def test_a_worker_of_a_run_that_is_over_leaves_quietly(tmp_path: Path) -> None:
    assert run_worker(tmp_path / "runs" / "x" / "run.json", 0) == [f"{tmp_path}/runs/x/run.json: the run is over"]


def _start_worker_on_host(run: Run, number: int, host_folder: Path) -> "subprocess.Popen[bytes]":
    host_folder.mkdir()
    code = "import sys; from pathlib import Path; from convarium.workers.worker_process import run_worker; "
    code += "run_worker(Path(sys.argv[1]), int(sys.argv[2]))"
    environment = SUBPROCESS_ENVIRONMENT | {FOLDER_VARIABLE: str(host_folder)}
    return subprocess.Popen([sys.executable, "-c", code, str(run.file), str(number)], env=environment)


def _span(done: dict[str, Any]) -> tuple[float, float]:
    started = datetime.fromisoformat(done["started"]).timestamp()
    return started, started + done["seconds"]


def _die_as_owner(folder: Path, run: str) -> None:
    lease = LeaseManager(run).take(folder)
    assert lease is not None
    lease._ended.set()
    path = folder / f"lease.{lease.number}"
    path.write_bytes(path.read_bytes().replace(b'"start": "', b'"start": "9'))
