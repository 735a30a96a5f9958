"""Times and executions are made on the hardware that they are for, and by no other worker of the run."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from convarium.host import hardware as host_hardware
from convarium.host.devices import VISIBLE_VARIABLE
from convarium.host.hardware import find_package_version
from convarium.host.process import current_process
from convarium.host.room import FOLDER_VARIABLE
from convarium.planning.plan import Node
from convarium.store.store import Store
from convarium.workers import controller, hardware_watch, wait_notice
from convarium.workers.backend import Job
from convarium.workers.hardware_watch import HardwareWatch
from convarium.workers.launcher_backend import LauncherBackend
from convarium.workers.lease import LeaseLost, LeaseManager
from convarium.workers.local_backend import WORKER_CODE, LocalBackend
from convarium.workers.node_status import NodeStatus
from convarium.workers.open_run import OpenRun, OpenRunSettings
from convarium.workers.places import WorkerPlace, read_place_hardware, take_place
from convarium.workers.progress import build_progress_display
from convarium.workers.run_file import Run
from convarium.workers.worker_process import work_in_place
from host.fake_gpus import GPUS, install_fake_gpus
from stages.stage_harness import TINY_TRAINING, plan_command_nodes
from store.fake_open_run import wait_for_owner
from store.fake_run import SUBPROCESS_ENVIRONMENT, launch_in_thread, make_fake_node, make_fake_plan, run_plan_silently

TORCH = str(find_package_version("torch"))
RUNNING, WAITING = Job("1", "running"), Job("2", "waiting")
# A worker's processor is called after the worker's number.
NUMBERED_PROCESSORS_CODE = """
from convarium.host import hardware
hardware.read_cpu_model = lambda: "Processor " + sys.argv[2]
"""


class FakeClock:
    """A clock that stands still."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


class EmptyBackend:
    """Starts no workers."""

    def submit(self, count: int) -> None:
        pass

    def states(self) -> Sequence[Job]:
        return ()

    def cancel(self) -> None:
        pass


@pytest.fixture(autouse=True)
def own_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "host").mkdir()
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "host"))
    monkeypatch.setattr(host_hardware, "read_cpu_model", lambda: "Processor 0")


@pytest.fixture
def places() -> Iterator[list[WorkerPlace]]:
    """Places that are left after the test."""
    held: list[WorkerPlace] = []
    yield held
    for place in held:
        place.leave()


def _make_node(name: str, cpu: str, parents: Iterable[Node] = (), journal: Path | None = None, **wanted: str) -> Node:
    """A fake stage that is for a processor."""
    node = make_fake_node(name, parents, journal=journal, seconds=0.05)
    return replace(node, runtime={**node.runtime, "hardware": {"cpu": cpu, "executor": TORCH, **wanted}})


def _begin(root: Path, *nodes: Node, devices: int = 0, idle_seconds: float = 600.0) -> Run:
    store = Store(root)
    store.prepare()
    return Run.begin(make_fake_plan(*nodes), store, workers=1, devices=devices, idle_minutes=idle_seconds / 60)


def _run_with_numbered_processors(
    root: Path, workers: int, monkeypatch: pytest.MonkeyPatch, *nodes: Node, idle_minutes: float = 10.0
) -> dict[str, NodeStatus]:
    monkeypatch.setenv("PYTHONPATH", SUBPROCESS_ENVIRONMENT["PYTHONPATH"])
    monkeypatch.setattr("convarium.workers.local_backend.WORKER_CODE", NUMBERED_PROCESSORS_CODE + WORKER_CODE)
    display = build_progress_display(True)
    plan = make_fake_plan(*nodes)
    return controller.run_plan(plan, Store(root), LocalBackend, workers, display, idle_minutes=idle_minutes)


def test_two_workers_of_different_processors_make_each_what_is_for_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "journal"
    parent = make_fake_node("any", journal=journal)
    nodes = [_make_node(f"{index % 2}-{index}", f"Processor {index % 2}", [parent], journal) for index in range(8)]
    statuses = _run_with_numbered_processors(tmp_path / "s", 2, monkeypatch, parent, *nodes)
    assert {status.state for status in statuses.values()} == {"done"}
    pids_by_processor = defaultdict(set)
    lines = journal.read_text().splitlines()
    assert len(lines) == 9
    for line in lines:
        name, pid = line.split()
        pids_by_processor[name[0]].add(pid)
    assert [len(pids_by_processor[number]) for number in "01"] == [1, 1]
    assert pids_by_processor["0"] != pids_by_processor["1"]


def test_what_no_worker_has_the_hardware_for_is_a_value_and_is_made_by_a_run_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, elsewhere = _make_node("here", "Processor 0"), _make_node("elsewhere", "Processor 1")
    after = make_fake_node("after", [elsewhere])
    nodes = here, elsewhere, after
    statuses = _run_with_numbered_processors(tmp_path / "s", 1, monkeypatch, *nodes, idle_minutes=0.0)
    reason = f"no worker ran on Processor 1, {TORCH}; these did: Processor 0, {TORCH}"
    assert statuses[here.signature].state == "done"
    failed = NodeStatus("failed", f"elsewhere: {reason}", mistake=True, kind="no_worker")
    assert statuses[elsewhere.signature] == failed
    assert statuses[after.signature] == replace(failed, state="blocked")
    statuses = _run_with_numbered_processors(tmp_path / "s", 2, monkeypatch, *nodes)
    assert {status.state for status in statuses.values()} == {"done"}


def test_a_worker_takes_no_lease_of_what_is_for_other_hardware_and_says_what_that_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait_notice, "NOTICE_SECONDS", 0.0)
    mine, other = _make_node("mine", "Processor 0"), _make_node("other", "Processor 1")
    child = _make_node("child", "Processor 1", [mine], gpu="NVIDIA H200")
    run = _begin(tmp_path / "s", mine, other, child)
    notices: list[str] = []

    def note_and_stop(line: str) -> None:
        notices.append(line)
        run.stop()

    place = take_place(run)
    assert place is not None
    work_in_place(run, place, 0, [], note_and_stop)
    store = Store(run.store)
    assert store.find_record(mine.signature) is not None
    assert [store.find_folder(node.signature) for node in (other, child)] == [None, None]
    assert notices == [f"{child.stage} child waits for a worker on NVIDIA H200, Processor 1, {TORCH}"]


def test_the_lease_of_a_place_says_on_what_its_worker_runs(
    tmp_path: Path, places: list[WorkerPlace], monkeypatch: pytest.MonkeyPatch
) -> None:
    install_fake_gpus(2, tmp_path / "bin", monkeypatch)
    run = _begin(tmp_path / "s", devices=1)
    for _ in range(2):
        monkeypatch.delenv(VISIBLE_VARIABLE, raising=False)
        place = take_place(run)
        assert place is not None
        places.append(place)
    content = json.loads((places[1].lease.folder / "lease.0").read_bytes())
    assert content["details"]["hardware"]["gpu"] == GPUS[1].name
    places.pop(0).leave()
    found = read_place_hardware(run, LeaseManager(run.id))
    host = current_process().host
    assert {name: (hardware.gpu, is_alive) for name, (hardware, is_alive) in found.items()} == {
        f"{host}-0": (GPUS[0].name, False),
        f"{host}-1": (GPUS[1].name, True),
    }
    assert found[f"{host}-1"][0].cpu == "Processor 0"
    assert TORCH in found[f"{host}-1"][0].executors


def test_no_time_counts_while_nobody_works_and_a_waiting_job_begins_it_anew(
    tmp_path: Path, places: list[WorkerPlace], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    monkeypatch.setattr(hardware_watch, "time", clock)
    node = _make_node("time", "Processor 1")
    run = _begin(tmp_path / "s", node)
    watch = HardwareWatch(run, Store(run.store))

    def look_after(minutes: float, *jobs: Job, ready: tuple[Node, ...] = (node,)) -> bool:
        clock.now += 60 * minutes
        return watch.fail_unfit_nodes(ready, (RUNNING, *jobs))

    assert not look_after(0)
    assert not look_after(11), "nobody works, so nobody lacks the hardware"
    first = take_place(run)
    assert first is not None
    assert not look_after(1)
    assert not look_after(9)
    first.leave()
    assert not look_after(0)
    assert not look_after(60)
    second = take_place(run)
    assert second is not None
    places.append(second)
    assert not look_after(0.5), "the hour without a worker does not count"
    assert not look_after(0, WAITING)
    assert not look_after(9), "the time begins anew"
    assert not look_after(9.5)
    assert not look_after(1, ready=()), "nothing is ready that could be given up"
    assert look_after(0)
    failure = Store(run.store).find_failure(node.signature)
    assert failure is not None
    assert (failure["kind"], failure["run"]) == ("no_worker", run.id)


def test_a_worker_that_comes_with_the_hardware_ends_the_wait(
    tmp_path: Path, places: list[WorkerPlace], monkeypatch: pytest.MonkeyPatch
) -> None:
    node, nowhere = _make_node("time", "Processor 1"), _make_node("nowhere", "Processor 2")
    run = _begin(tmp_path / "s", node, nowhere, idle_seconds=0.0)
    for name in ("Processor 0", "Processor 1"):
        monkeypatch.setattr(host_hardware, "read_cpu_model", lambda name=name: name)
        place = take_place(run)
        assert place is not None
        places.append(place)
    store = Store(run.store)
    assert HardwareWatch(run, store).fail_unfit_nodes([node, nowhere], [RUNNING])
    failures = store.find_failures([node.signature, nowhere.signature], run.id)
    others = f"Processor 0, {TORCH}; Processor 1, {TORCH}"
    reason = f"no worker ran on Processor 2, {TORCH}; these did: {others}"
    assert {signature: failure["error"] for signature, failure in failures.items()} == {nowhere.signature: reason}


def test_what_a_worker_of_another_run_makes_is_not_given_up(tmp_path: Path, places: list[WorkerPlace]) -> None:
    node = _make_node("time", "Processor 1")
    run = _begin(tmp_path / "s", node, idle_seconds=0.0)
    place = take_place(run)
    assert place is not None
    places.append(place)
    store = Store(run.store)
    folder = store.folder_of(node)
    folder.mkdir(parents=True)
    lease = LeaseManager("another").take(folder)
    assert lease is not None
    HardwareWatch(run, store).fail_unfit_nodes([node], [RUNNING])
    assert store.find_failure(node.signature) is None
    lease.release()


def test_only_the_present_controller_of_an_open_run_gives_up_what_no_worker_fits(
    tmp_path: Path, places: list[WorkerPlace]
) -> None:
    root = tmp_path / "s"
    store = Store(root)
    store.prepare()
    owner = wait_for_owner(root)
    open_run = OpenRun.begin_or_attach(owner, store, OpenRunSettings(1, idle_minutes=0.0), lambda run: EmptyBackend())
    first, second = _make_node("first", "Processor 1"), _make_node("second", "Processor 1")
    place = take_place(open_run.run)
    assert place is not None
    places.append(place)
    open_run.change_plan(make_fake_plan(first))
    assert open_run.look().failed[first.signature]["kind"] == "no_worker"
    open_run.change_plan(make_fake_plan(first, second))
    # As another host does that has not heard of this controller for two minutes.
    LeaseManager("").mark_dead(owner.lease.folder, owner.lease.token)
    with pytest.raises(LeaseLost):
        open_run.look()
    assert store.find_failure(second.signature) is None


def test_a_worker_says_that_its_host_lacks_the_accelerator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    train = plan_command_nodes(*TINY_TRAINING, "runtime.accelerator=gpu")[0]
    statuses = run_plan_silently(make_fake_plan(train), tmp_path / "s", launch_in_thread, workers=1)
    status = statuses[train.signature]
    host = current_process().host
    assert status.mistake
    assert f"runtime.accelerator=gpu: PyTorch finds none on {host}" in str(status.error)


def test_a_worker_says_that_its_host_has_fewer_gpus_than_it_is_to_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_fake_gpus(2, tmp_path / "bin", monkeypatch)
    line = f"runtime.devices=3: {current_process().host} has 2 GPUs"
    node, display = make_fake_node("one"), build_progress_display(True)
    build_backend = partial(LauncherBackend, launcher=launch_in_thread)
    statuses = controller.run_plan(make_fake_plan(node), Store(tmp_path / "s"), build_backend, 1, display, devices=3)
    assert statuses[node.signature] == NodeStatus("unfinished", f"one: {line}", mistake=True)
