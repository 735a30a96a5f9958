"""An open run: its plan grows and shrinks while workers follow it, and another controller can take it over."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from convarium.planning.plan import Node, Plan, PlannedPoint
from convarium.store.store import Store
from convarium.upkeep.garbage import find_planned_signatures
from convarium.workers.lease import LeaseLost, LeaseManager
from convarium.workers.local_backend import LocalBackend
from convarium.workers.open_run import OpenRun, OpenRunSettings
from convarium.workers.places import take_place
from convarium.workers.run_file import Run
from convarium.workers.run_owner import RunOwner, read_owned_run_id
from convarium.workers.stored_runs import find_dead_runs, find_living_runs, remove_dead_runs
from convarium.workers.worker_process import run_worker
from store.fake_open_run import begin_open_run, grow, make_growing_nodes, wait_for_owner
from store.fake_run import SUBPROCESS_ENVIRONMENT, make_fake_node, make_fake_plan, read_stored_results
from waiting import wait_until

Controlled = tuple[RunOwner, OpenRun]


@pytest.fixture(autouse=True)
def children_import_fake_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", SUBPROCESS_ENVIRONMENT["PYTHONPATH"])


@pytest.fixture
def controlled(tmp_path: Path) -> Iterator[Controlled]:
    owner, open_run = begin_open_run(tmp_path / "store")
    yield owner, open_run
    if open_run.run.folder.exists() and not _is_lost(owner):
        open_run.stop()
        owner.release()


def test_workers_make_what_is_added_to_the_plan_and_stay_meanwhile(tmp_path: Path, controlled: Controlled) -> None:
    journal = tmp_path / "journal"
    nodes = [make_fake_node(f"n{index}", journal=journal) for index in range(8)]
    grow(controlled[1], nodes, in_flight=2)
    lines = [line.split() for line in journal.read_text().splitlines()]
    assert Counter(name for name, _ in lines) == {node.name: 1 for node in nodes}
    assert len({pid for _, pid in lines}) <= 2
    controlled[1].end()
    assert not controlled[1].run.folder.exists()


def test_nodes_of_the_earlier_point_go_first(tmp_path: Path) -> None:
    owner, open_run = begin_open_run(tmp_path / "store", OpenRunSettings(workers=1))
    journal = tmp_path / "journal"
    chains = [_make_chain(f"t{index}", journal) for index in range(3)]
    points = [PlannedPoint((), {}, chain[1].signature, chain[0].signature, chain[2].signature) for chain in chains]
    nodes = {node.signature: node for chain in reversed(chains) for node in chain}
    open_run.change_plan(Plan(nodes, tuple(points)))
    wait_until(lambda: open_run.look().is_finished)
    open_run.end()
    owner.release()
    begun = [line.split()[0] for line in journal.read_text().splitlines()]
    assert begun == [node.name for chain in chains for node in chain]


def test_a_node_that_left_the_plan_is_left_after_its_checkpoint(tmp_path: Path, controlled: Controlled) -> None:
    _, open_run = controlled
    journal = tmp_path / "journal"
    long = make_fake_node("long", journal=journal, seconds=0.3, epochs=1000)
    other = make_fake_node("other", journal=journal)
    open_run.change_plan(make_fake_plan(long))
    folder = Store(open_run.run.store).folder_of(long)
    checkpoint = folder / "checkpoints" / "state.json"
    wait_until(lambda: open_run.look() is not None and checkpoint.exists())
    open_run.change_plan(make_fake_plan(other))
    wait_until(lambda: LeaseManager("").read(folder).state == "released")  # type: ignore[union-attr]
    assert not (folder / "failed.json").exists()
    wait_until(lambda: open_run.look().is_finished)
    # Who wants it again goes on from there.
    epoch = json.loads(checkpoint.read_text())["epoch"]
    assert 1 <= epoch < 60
    open_run.change_plan(make_fake_plan(long))
    wait_until(lambda: json.loads(checkpoint.read_text())["epoch"] > epoch)
    assert len(journal.read_text().splitlines()) == 3


def test_a_killed_worker_is_replaced(tmp_path: Path, controlled: Controlled) -> None:
    _, open_run = controlled
    journal = tmp_path / "journal"
    node = make_fake_node("one", journal=journal, seconds=0.2, epochs=10)
    open_run.change_plan(make_fake_plan(node))
    wait_until(lambda: open_run.look() is not None and journal.exists() and journal.read_text().endswith("\n"))
    os.kill(int(journal.read_text().split()[1]), signal.SIGKILL)
    wait_until(lambda: open_run.look().is_finished)
    assert Store(open_run.run.store).find_record(node.signature) is not None


def test_workers_whose_controller_died_finish_the_plan_and_leave_after_the_idle_minutes(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    run = _begin_without_controller(tmp_path / "store", make_fake_plan(make_fake_node("one", journal=journal)), 0.02)
    start = time.monotonic()
    assert run_worker(run.file, 0) == []
    assert time.monotonic() - start >= 1.0
    assert len(journal.read_text().splitlines()) == 1


def test_workers_that_leave_as_soon_as_nothing_is_ready_are_replaced_for_what_comes_later(tmp_path: Path) -> None:
    owner, open_run = begin_open_run(tmp_path / "store", OpenRunSettings(workers=2, idle_minutes=0.0))
    journal = tmp_path / "journal"
    nodes = [make_fake_node(f"n{index}", journal=journal) for index in range(6)]  # more than may end in vain
    for node in nodes:
        open_run.change_plan(make_fake_plan(node))
        wait_until(lambda: open_run.look().is_finished)
        wait_until(lambda: open_run.count_living_workers() == 0)
    open_run.end()
    owner.release()
    lines = [line.split() for line in journal.read_text().splitlines()]
    assert [name for name, _ in lines] == [node.name for node in nodes]
    assert len({pid for _, pid in lines}) == len(nodes)


def test_a_controller_takes_the_run_of_a_dead_one_over_with_its_workers(tmp_path: Path) -> None:
    store, journal = tmp_path / "store", tmp_path / "journal"
    process = _start_controller(store, journal)
    wait_until(lambda: journal.exists() and len(journal.read_text().splitlines()) >= 4)
    process.kill()
    process.wait()
    owner, open_run = begin_open_run(store)
    assert open_run.count_living_workers() == 2
    grow(open_run, make_growing_nodes(journal), in_flight=3)
    open_run.end()
    owner.release()
    lines = [line.split() for line in journal.read_text().splitlines()]
    assert Counter(name for name, _ in lines) == {f"n{index}": 1 for index in range(12)}
    assert len({pid for _, pid in lines}) == 2
    assert not list((store / "runs").iterdir())


def test_a_controller_that_slept_through_its_lease_touches_nothing(tmp_path: Path, controlled: Controlled) -> None:
    owner, sleeper = controlled
    journal = tmp_path / "journal"
    wanted = make_fake_node("wanted", journal=journal, seconds=0.3, epochs=6)
    sleeper.change_plan(make_fake_plan(wanted))
    wait_until(lambda: sleeper.look() is not None and sleeper.count_living_workers() == 2)
    # As another host does that has not heard of the sleeper for two minutes.
    assert LeaseManager("").mark_dead(owner.lease.folder, owner.lease.token)
    new_owner, open_run = begin_open_run(tmp_path / "store")
    assert open_run.run.id == sleeper.run.id
    open_run.change_plan(make_fake_plan(wanted))
    files = set(os.listdir(open_run.run.folder))
    for act in (sleeper.stop, sleeper.end, lambda: sleeper.change_plan(make_fake_plan())):
        with pytest.raises(LeaseLost):
            act()
    sleeper.run.stop()  # had it looked at its lease a moment too early
    assert set(os.listdir(open_run.run.folder)) == files | {f"stop.{owner.lease.number}"}
    wait_until(lambda: open_run.look().is_finished)
    assert len(journal.read_text().splitlines()) == 1
    open_run.end()
    new_owner.release()


def test_a_run_stays_while_its_owner_or_a_worker_lives_and_goes_afterwards(tmp_path: Path) -> None:
    root = tmp_path / "store"
    owner, open_run = begin_open_run(root)
    store = Store(root)
    node = make_fake_node("one", seconds=0.2, epochs=1000)
    open_run.change_plan(make_fake_plan(node))
    assert find_planned_signatures(store) == {node.signature}
    wait_until(lambda: open_run.look() is not None and open_run.count_living_workers() == 2)
    owner.release()
    assert [folder for folder, _ in find_living_runs(store)] == [open_run.run.folder]
    for worker in open_run.run.find_living_workers():
        os.kill(worker.pid, signal.SIGKILL)
    wait_until(lambda: list(find_dead_runs(store)) == [open_run.run.folder])
    owner = wait_for_owner(root)
    assert list(find_living_runs(store))
    owner.release()
    remove_dead_runs(store)
    assert not open_run.run.folder.exists()


@pytest.mark.parametrize("seed", range(2))
def test_five_kills_of_workers_and_controllers_lose_nothing(tmp_path: Path, seed: int) -> None:
    store, journal = tmp_path / "store", tmp_path / "journal"
    undisturbed = tmp_path / "undisturbed"
    owner, open_run = begin_open_run(undisturbed)
    grow(open_run, make_growing_nodes(None), in_flight=6)
    open_run.end()
    owner.release()
    rng = random.Random(seed)
    process = _start_controller(store, journal)
    for _ in range(5):
        time.sleep(rng.uniform(0.2, 1.2))
        workers = [worker.pid for run in _read_runs(store) for worker in run.find_living_workers()]
        victim = rng.choice([process.pid, *workers])
        os.kill(victim, signal.SIGKILL)
        if victim == process.pid:
            process.wait()
            process = _start_controller(store, journal)
    assert process.wait(timeout=60) == 0
    assert read_stored_results(store) == read_stored_results(undisturbed)
    assert not list((store / "runs").iterdir())


def _make_chain(name: str, journal: Path) -> list[Node]:
    first = make_fake_node(f"{name}-train", journal=journal)
    second = make_fake_node(f"{name}-compress", [first], journal=journal)
    return [first, second, make_fake_node(f"{name}-score", [second, first], journal=journal)]


def _begin_without_controller(root: Path, plan: Plan, idle_minutes: float) -> Run:
    """Return an open run whose controller has left it."""
    owner, open_run = begin_open_run(root, OpenRunSettings(workers=1, idle_minutes=idle_minutes))
    open_run.change_plan(plan)
    owner.release()
    return open_run.run


def _start_controller(store: Path, journal: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "store.fake_open_run", str(store), str(journal)]
    return subprocess.Popen(command, env=SUBPROCESS_ENVIRONMENT)


def _read_runs(store: Path) -> list[Run]:
    return [run for _, run in find_living_runs(Store(store)) if run is not None]


def _is_lost(owner: RunOwner) -> bool:
    try:
        owner.check()
    except LeaseLost:
        return True
    return False


def test_a_controller_that_slept_since_it_took_the_owner_begins_no_run(tmp_path: Path) -> None:
    root = tmp_path / "store"
    Store(root).prepare()
    sleeper = wait_for_owner(root)
    assert LeaseManager("").mark_dead(sleeper.lease.folder, sleeper.lease.token)
    successor, open_run = begin_open_run(root)  # nobody works for its run yet
    try:
        with pytest.raises(LeaseLost):
            OpenRun.begin_or_attach(sleeper, Store(root), OpenRunSettings(workers=1), LocalBackend)
        assert read_owned_run_id(successor.lease.folder) == open_run.run.id
        assert open_run.run.file.exists()
    finally:
        open_run.stop()
        successor.release()


def test_a_run_without_a_plan_is_not_attached_to(tmp_path: Path) -> None:
    """Who slept while it began a run may write its file when the rest has been removed, and workers come to it."""
    root = tmp_path / "store"
    owner, open_run = begin_open_run(root)
    place = take_place(open_run.run)
    assert place is not None
    for file in open_run.run.folder.glob("p*.[0-9]*"):
        file.unlink()
    next_run = OpenRun.begin_or_attach(owner, Store(root), OpenRunSettings(workers=1), LocalBackend)
    try:
        assert next_run.run.id != open_run.run.id
        assert not open_run.run.file.exists()
    finally:
        next_run.stop()
        owner.release()


def test_a_controller_that_slept_while_it_named_its_run_does_not_hide_one_that_was_taken_over(tmp_path: Path) -> None:
    root = tmp_path / "store"
    first, open_run = begin_open_run(root)
    place = take_place(open_run.run)
    assert place is not None
    leases = LeaseManager("")
    assert leases.mark_dead(first.lease.folder, first.lease.token)
    sleeper = wait_for_owner(root)
    assert leases.mark_dead(sleeper.lease.folder, sleeper.lease.token)
    successor = wait_for_owner(root)
    taken_over = OpenRun.begin_or_attach(successor, Store(root), OpenRunSettings(workers=1), LocalBackend)
    assert taken_over.run.id == open_run.run.id
    sleeper.name_run("a" * 16)
    assert read_owned_run_id(successor.lease.folder) == open_run.run.id
    assert open_run.run.file.exists()
    place.leave()
    taken_over.stop()
    successor.release()


def test_a_run_that_its_owner_names_no_more_is_removed(tmp_path: Path) -> None:
    """Workers that came to it leave, where a controller slept while it began the run and was taken for dead."""
    root = tmp_path / "store"
    first, open_run = begin_open_run(root)
    assert LeaseManager("").mark_dead(first.lease.folder, first.lease.token)
    successor = wait_for_owner(root)
    successor.name_run("b" * 16)
    assert not open_run.run.folder.exists()
    successor.release()


def test_a_run_that_was_removed_under_its_controller_is_written_anew(tmp_path: Path) -> None:
    """Who slept while it removed what a dead controller had left may remove the run of the one after it."""
    root, journal = tmp_path / "store", tmp_path / "journal"
    owner, open_run = begin_open_run(root)
    node = make_fake_node("one", journal=journal)
    open_run.change_plan(make_fake_plan(node))
    open_run.run.remove()
    wait_until(lambda: open_run.look().is_finished)
    assert len(journal.read_text().splitlines()) == 1
    open_run.end()
    owner.release()
