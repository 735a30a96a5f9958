"""One stage under its lease: published once and whole, failed in a line, or gone on with from its checkpoint."""

import json
import threading
from errno import ENOSPC
from os import strerror
from pathlib import Path

import pytest

from convarium.host.process import current_process
from convarium.store import disk
from convarium.store.store import Store
from convarium.workers.lease import LeaseManager
from convarium.workers.run_file import Run
from convarium.workers.run_stage import StageRun
from convarium.workers.worker_process import run_worker
from store.fake_run import (
    begin_fake_run,
    launch_in_processes,
    launch_in_thread,
    make_fake_node,
    make_fake_plan,
    make_fake_sweep,
    read_stored_results,
    run_plan_silently,
)
from waiting import wait_until


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ("user", "no such thing: take another"),
        ("stage", "the loss is NaN"),
        ("else", "ValueError: first line"),
        ("exit", "SystemExit: 3"),
        ("nan", "the result can't be stored: metrics.loss: nan is not a number that can be stored"),
    ],
)
def test_a_failure_is_written_down_and_tried_again_by_the_next_run(tmp_path: Path, how: str, line: str) -> None:
    bad = make_fake_node("bad", stage="fail", how=how, journal=tmp_path / "journal")
    for attempt in (1, 2):
        run_plan_silently(make_fake_plan(bad), tmp_path / "store", launch_in_processes)
        failed = Store(tmp_path / "store").find_failure(bad.signature)
        assert failed is not None
        assert (failed["error"], failed["attempts"]) == (line, attempt)
    assert len((tmp_path / "journal").read_text().splitlines()) == 2, "once in each run, though two workers ran"


def test_a_stage_whose_fresh_process_is_killed_is_begun_again_and_fails_after_three_times(tmp_path: Path) -> None:
    bad = make_fake_node("bad", stage="fail", how="killed, fresh", journal=tmp_path / "journal")
    (status,) = run_plan_silently(make_fake_plan(bad), tmp_path / "store", launch_in_thread, workers=1).values()
    assert status.cause == "killed"
    line = (
        f"its processes were lost 3 times without a checkpoint in between, the last time on {current_process().host}: "
    )
    assert status.error is not None
    assert status.error.startswith(f"bad: {line}store.fake_stage:misbehave: the process was killed by SIGKILL")
    assert len((tmp_path / "journal").read_text().splitlines()) == 3


def test_a_failure_that_cant_be_written_down_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, value: object) -> None:
        if path.name == "failed.json":
            raise OSError(ENOSPC, strerror(ENOSPC))
        write_json(path, value)

    write_json = disk.write_json
    monkeypatch.setattr(disk, "write_json", full)
    bad = make_fake_node("bad", stage="fail", how="stage")
    statuses = run_plan_silently(make_fake_plan(bad), tmp_path, launch_in_thread)
    assert statuses[bad.signature].state == "unfinished"
    assert statuses[bad.signature].error is not None
    assert "the loss is NaN (No space left on device)" in statuses[bad.signature].error


def test_a_stale_owner_publishes_nothing(tmp_path: Path) -> None:
    """Its lease is taken over while it computes; it notices at its next checkpoint and leaves no trace."""
    one = make_fake_node("slow", seconds=0.5, epochs=3, journal=tmp_path / "journal")
    run = begin_fake_run(make_fake_plan(one), tmp_path, workers=1)
    folder = Store(run.store).folder_of(one)
    worker = threading.Thread(target=run_worker, args=(run.file, 0))
    worker.start()
    wait_until((folder / "checkpoints" / "state.json").exists)
    (folder / "work.1").mkdir()
    (folder / "lease.1").write_bytes(_foreign_lease(folder))
    wait_until(lambda: not (folder / "work.0").exists())
    run.stop()
    worker.join()
    assert not (folder / "done.json").exists()
    assert not (folder / "failed.json").exists()
    assert json.loads((folder / "checkpoints" / "state.json").read_text())["epoch"] < 3
    assert (folder / "lease.1").exists(), "the new owner's lease stands"
    assert (folder / "work.1").exists(), "and so does its work"


def test_a_worker_that_slept_since_it_took_a_lease_leaves_its_successors_files_alone(tmp_path: Path) -> None:
    node = make_fake_node("slept")
    store = Store(tmp_path)
    store.prepare()
    run = Run.begin(make_fake_plan(node), store, 1)
    folder = store.folder_of(node)
    folder.mkdir(parents=True)
    leases = LeaseManager(run.id)
    lease = leases.take(folder)
    assert lease is not None
    assert leases.mark_dead(folder, lease.token)
    successor = leases.take(folder)
    assert successor is not None
    successor_files = folder / f"work.{successor.number}"
    successor_files.mkdir()
    assert StageRun(node, lease, store, run, threads=1).run_and_publish() is None
    assert successor_files.exists()
    successor.check()


def test_a_stage_that_breaks_because_a_former_owner_has_published_it_has_not_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who slept between its last check and its record clears the checkpoints away that its successor writes to."""
    run = begin_fake_run(make_fake_plan(node := make_fake_node("one")), tmp_path, workers=1)
    folder = Store(tmp_path).folder_of(node)
    folder.mkdir(parents=True)

    def break_after_another_has_published(stage_run: StageRun) -> None:
        stage_run.files.record.write_text("{}")
        raise FileNotFoundError("checkpoints")

    monkeypatch.setattr(StageRun, "_run_and_build_record", break_after_another_has_published)
    lease = LeaseManager(run.id).take(folder)
    assert lease is not None
    assert StageRun(node, lease, Store(tmp_path), run, threads=1).run_and_publish() is None
    assert not (folder / "failed.json").exists()
    assert not list(folder.glob("lease.*"))


def test_what_is_resumed_equals_what_was_never_stopped(tmp_path: Path) -> None:
    one = make_fake_node("long", epochs=6, seconds=0.3)
    run_plan_silently(make_fake_plan(one), tmp_path / "whole", launch_in_processes)
    run = begin_fake_run(make_fake_plan(one), tmp_path / "parts", workers=1)
    worker = threading.Thread(target=run_worker, args=(run.file, 0))
    worker.start()
    checkpoint = Store(run.store).folder_of(one) / "checkpoints" / "state.json"
    wait_until(checkpoint.exists)
    run.stop()
    worker.join()
    assert Store(run.store).find_record(one.signature) is None
    assert checkpoint.exists()
    run_plan_silently(make_fake_plan(one), run.store, launch_in_processes)
    assert read_stored_results(run.store) == read_stored_results(tmp_path / "whole")
    assert not checkpoint.exists()


def test_an_epoch_during_which_the_run_is_stopped_is_kept(tmp_path: Path) -> None:
    one = make_fake_node("long", epochs=6, seconds=0.5, journal=tmp_path / "journal")
    run = begin_fake_run(make_fake_plan(one), tmp_path / "store", workers=1)
    worker = threading.Thread(target=run_worker, args=(run.file, 0))
    worker.start()
    wait_until((tmp_path / "journal").exists)
    run.stop()
    worker.join()
    checkpoint = Store(run.store).folder_of(one) / "checkpoints" / "state.json"
    assert json.loads(checkpoint.read_text())["epoch"] == 1


def test_a_finished_folder_holds_results_only(tmp_path: Path) -> None:
    run_plan_silently(make_fake_sweep(seconds=0.0), tmp_path, launch_in_processes, workers=4)
    for done in Store(tmp_path).read_records():
        folder = Store(tmp_path).find_folder(done["signature"])
        assert folder is not None
        assert {path.name for path in folder.iterdir()} == {"done.json", "network.cvm", "curves.jsonl", "log.txt"}
    assert not list((tmp_path / "runs").iterdir())


def _foreign_lease(folder: Path) -> bytes:
    return (folder / "lease.0").read_bytes().replace(b'"host": "', b'"host": "elsewhere-')
