"""Who controls the run of a plan whose workers outlive their controller."""

import threading
import time
from functools import partial
from pathlib import Path

import pytest

from convarium.store.store import Store
from convarium.workers.lease import LeaseManager
from convarium.workers.progress import build_progress_display
from convarium.workers.ready_nodes import PlanMonitor, PlanState
from convarium.workers.run_claim import RunClaim, claim_run, find_owner_folder
from convarium.workers.run_file import Run
from convarium.workers.run_owner import RunOwner, take_owner
from store.fake_run import make_fake_node, make_fake_plan

PLAN = make_fake_plan(make_fake_node("only"))
HELD_SECONDS = 1.5  # more than two looks of who waits for a lease


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path.resolve() / "store")
    store.prepare()
    return store


def test_who_lost_a_run_that_is_over_since_does_not_begin_it_again(store: Store) -> None:
    claim = _claim(store, has_lost_run=True)
    assert isinstance(claim, PlanState)
    assert not list(store.root.glob("runs/*/run.json"))
    assert isinstance(_claim(store), RunClaim), "another command begins it"


def test_a_run_that_was_told_to_stop_is_not_taken_over(store: Store) -> None:
    first = _claim(store)
    assert isinstance(first, RunClaim)
    first.run.stop()
    first.owner.release()
    second = _claim(store)
    assert isinstance(second, RunClaim)
    assert (second.is_taken_over, second.run.id == first.run.id) == (False, False)
    assert not first.run.folder.exists()


def test_a_worker_that_has_the_lease_for_a_moment_is_not_taken_for_a_controller(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = find_owner_folder(PLAN, store.root)
    folder.mkdir(parents=True)
    worker = take_owner(store.root, folder, LeaseManager(""), is_worker=True)
    assert worker is not None
    run = _begin(store, worker)
    releasing = threading.Timer(HELD_SECONDS, worker.release)
    start = time.monotonic()
    releasing.start()
    claim = _claim(store)
    assert time.monotonic() - start >= HELD_SECONDS
    assert isinstance(claim, RunClaim)
    assert claim.run.id != run.id, "it has no workers"
    assert "controls this run" not in capsys.readouterr().err


def _claim(store: Store, has_lost_run: bool = False) -> RunClaim | PlanState:
    begin = partial(_begin, store)
    return claim_run(PLAN, store, PlanMonitor(PLAN), begin, 1, build_progress_display(True), has_lost_run)


def _begin(store: Store, owner: RunOwner) -> Run:
    return Run.begin(PLAN, store, 1, owner=owner)
