"""A worker on a disk of a network, which may show folders as they were."""

import time
from pathlib import Path

import pytest

from convarium.store import result_record
from convarium.store.store import Store
from convarium.workers import worker as worker_module
from convarium.workers.worker import Worker
from store.fake_run import (
    begin_fake_run,
    launch_in_processes,
    make_fake_node,
    make_fake_plan,
    run_plan_silently,
)


def test_a_result_that_lies_behind_a_free_lease_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk may show a folder as it was: only its listing after the lease was taken is believed."""
    journal = tmp_path / "journal"
    one = make_fake_node("one", journal=journal)
    run = begin_fake_run(make_fake_plan(one), tmp_path / "store", workers=1)
    worker = Worker(run, [])
    worker.queue.survey_if_due()
    run_plan_silently(make_fake_plan(one), tmp_path / "store", launch_in_processes, workers=1)
    monkeypatch.setattr(worker_module, "_holds_result", lambda folder: False)
    assert worker._run_next_node(), "it took the lease"
    assert len(journal.read_text().splitlines()) == 1
    assert not list(Store(run.store).folder_of(one).glob("lease.*")), "and gave it back"
    assert worker.queue.done == {one.signature}


def test_a_result_that_is_listed_but_not_shown_yet_is_taken_once_and_then_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network disk may remember for a minute that there was no record, and yet list it."""
    one = make_fake_node("one")
    run = begin_fake_run(make_fake_plan(one), tmp_path, workers=1)
    worker = Worker(run, [])
    run_plan_silently(make_fake_plan(one), tmp_path, launch_in_processes, workers=1)
    taken: list[None] = []
    read_record, shown_at = result_record.read_record, time.monotonic() + 1.0
    monkeypatch.setattr(worker_module, "_holds_result", lambda folder: time.monotonic() > shown_at)
    monkeypatch.setattr(
        result_record, "read_record", lambda folder: read_record(folder) if time.monotonic() > shown_at else None
    )
    run_leased = Worker._run_leased
    monkeypatch.setattr(Worker, "_run_leased", lambda self, stage_run: taken.append(run_leased(self, stage_run)))
    worker.run_ready_nodes()
    assert worker.queue.is_finished
    assert len(taken) == 1
    assert not list(Store(tmp_path).folder_of(one).glob("lease.*"))


def test_what_starts_from_a_result_finds_it_where_the_disk_does_not_list_its_folder_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network disk may show a record whose path is known, and for some seconds not list what lies above it."""
    parent = make_fake_node("parent")
    child = make_fake_node("child", [parent])
    run = begin_fake_run(make_fake_plan(parent, child), tmp_path, workers=1)
    worker = Worker(run, [])
    worker.queue.survey_if_due()
    run_plan_silently(make_fake_plan(parent), tmp_path, launch_in_processes, workers=1)
    monkeypatch.setattr(worker.store, "_scan", lambda: None)
    worker.run_ready_nodes()
    assert worker.failures == []
    assert worker.queue.done == {parent.signature, child.signature}
