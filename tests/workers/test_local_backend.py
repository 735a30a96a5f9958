"""Workers on this host are watched one by one: the death of one is its own."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from convarium.errors import UserError
from convarium.planning.plan import Plan
from convarium.store.store import Store
from convarium.workers import controller
from convarium.workers.backend import Job
from convarium.workers.lease import LeaseManager
from convarium.workers.local_backend import LocalBackend, build_local_backend
from convarium.workers.node_status import NodeStatus
from convarium.workers.progress import build_progress_display
from convarium.workers.run_file import Run
from store.fake_run import SUBPROCESS_ENVIRONMENT, make_fake_node, make_fake_plan, read_stored_results
from waiting import wait_until


@pytest.fixture(autouse=True)
def children_import_fake_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", SUBPROCESS_ENVIRONMENT["PYTHONPATH"])


def _run(
    plan: Plan, root: Path, workers: int, build: Callable[[Run], LocalBackend] = LocalBackend
) -> dict[str, NodeStatus]:
    return controller.run_plan(plan, Store(root), build, workers, build_progress_display(True))


def test_a_killed_worker_is_replaced_and_the_others_go_on(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    nodes = [make_fake_node(f"n{index}", journal=journal, seconds=0.25, epochs=16) for index in range(4)]
    statuses: dict[str, NodeStatus] = {}
    thread = threading.Thread(target=lambda: statuses.update(_run(make_fake_plan(*nodes), tmp_path / "s", workers=4)))
    thread.start()
    wait_until(lambda: journal.exists() and len(journal.read_text().splitlines()) == 4)
    victim = journal.read_text().split()[0]
    os.kill(int(journal.read_text().split()[1]), signal.SIGKILL)
    thread.join(timeout=60)
    assert {status.state for status in statuses.values()} == {"done"}
    begun = Counter(line.split()[0] for line in journal.read_text().splitlines())
    assert begun == {node.name: 2 if node.name == victim else 1 for node in nodes}
    assert len(read_stored_results(tmp_path / "s")) == 4


def test_only_the_stage_of_a_killed_worker_counts_a_death(tmp_path: Path) -> None:
    bad = make_fake_node("bad", stage="fail", how="killed", journal=tmp_path / "journal")
    good = [make_fake_node(f"good{index}", seconds=0.2, epochs=20) for index in range(2)]
    deaths: list[int] = []

    class WatchingBackend(LocalBackend):
        def states(self) -> Sequence[Job]:
            leases = LeaseManager(self._run.id)
            for node in good:
                info = leases.read(Store(self._run.store).folder_of(node))
                deaths.append(leases.count_deaths(info))
            return super().states()

    statuses = _run(make_fake_plan(bad, *good), tmp_path / "s", 3, WatchingBackend)
    assert statuses[bad.signature].state == "failed"
    assert {statuses[node.signature].state for node in good} == {"done"}
    assert set(deaths) == {0}
    assert statuses[bad.signature].cause == "killed"
    assert len((tmp_path / "journal").read_text().splitlines()) == 3


def test_an_interrupt_leaves_no_process(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    node = make_fake_node("slow", journal=journal, seconds=0.1, epochs=1000)
    other = make_fake_node("other", journal=journal, seconds=60.0)
    backends: list[LocalBackend] = []

    class InterruptedBackend(LocalBackend):
        def states(self) -> Sequence[Job]:
            backends.append(self)
            if journal.exists() and len(journal.read_text().splitlines()) == 2:
                raise KeyboardInterrupt
            return super().states()

    with pytest.raises(KeyboardInterrupt):
        _run(make_fake_plan(node, other), tmp_path / "s", 2, InterruptedBackend)
    assert all(process.poll() is not None for process in backends[0]._processes)


def test_workers_that_cant_even_start_come_to_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convarium.workers.local_backend.WORKER_CODE", "raise SystemExit(3)")
    node = make_fake_node("one")
    statuses = _run(make_fake_plan(node), tmp_path, 2)
    assert statuses[node.signature].error == "one: its workers ended without it"


def test_a_single_worker_works_in_this_process(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    node = make_fake_node("one", journal=journal)
    statuses = controller.run_plan(
        make_fake_plan(node), Store(tmp_path / "s"), build_local_backend, 1, build_progress_display(True)
    )
    assert statuses[node.signature].state == "done"
    assert journal.read_text() == f"one {os.getpid()}\n"


def test_a_backend_s_refusal_is_the_users_line(tmp_path: Path) -> None:
    class RefusingBackend(LocalBackend):
        def submit(self, count: int) -> None:
            raise UserError("partition gpu: no such partition")

    with pytest.raises(UserError, match="no such partition"):
        _run(make_fake_plan(make_fake_node("one")), tmp_path, 2, RefusingBackend)
