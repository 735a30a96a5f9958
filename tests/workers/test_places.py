"""Who works for a run has a place, and no two share a GPU, whichever run they work for."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from convarium.errors import UserError
from convarium.host.devices import VISIBLE_VARIABLE
from convarium.host.process import current_process
from convarium.host.room import FOLDER_VARIABLE
from convarium.store.store import Store
from convarium.workers import controller, worker_process
from convarium.workers.local_backend import WORKER_CODE, LocalBackend, build_local_backend
from convarium.workers.places import WorkerPlace, describe_taken_places, take_place
from convarium.workers.progress import build_progress_display
from convarium.workers.run_file import Run
from convarium.workers.worker_process import run_worker
from host.fake_gpus import install_fake_gpus
from store.fake_run import SUBPROCESS_ENVIRONMENT, make_fake_node, make_fake_plan

HOLD_PLACE_CODE = """
import sys, time; from pathlib import Path; from convarium.workers.places import take_place
from convarium.workers.run_file import Run
place = take_place(Run.read(Path(sys.argv[1])))
print(place and place.name, flush=True)
time.sleep(600)
"""


@pytest.fixture
def held() -> Iterator[list[WorkerPlace]]:
    """Places that are left after the test."""
    places: list[WorkerPlace] = []
    yield places
    for place in places:
        place.leave()


@pytest.fixture(autouse=True)
def own_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "host").mkdir()
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "host"))


def _begin(root: Path, devices: int = 0) -> Run:
    store = Store(root)
    store.prepare()
    return Run.begin(make_fake_plan(make_fake_node("one")), store, workers=2, devices=devices)


def _take(run: Run, held: list[WorkerPlace]) -> WorkerPlace | None:
    """Take a place as a process does that sees all GPUs of its host."""
    os.environ.pop(VISIBLE_VARIABLE, None)
    place = take_place(run)
    if place is not None:
        held.append(place)
    return place


def test_a_worker_takes_the_lowest_place_that_is_free(tmp_path: Path, held: list[WorkerPlace]) -> None:
    run = _begin(tmp_path / "s")
    places = [_take(run, held) for _ in range(3)]
    host = current_process().host
    assert [place and place.name for place in places] == [f"{host}-0", f"{host}-1", f"{host}-2"]
    assert places[1] is not None
    places[1].leave()
    held.remove(places[1])
    again = _take(run, held)
    assert again is not None
    assert again.name == f"{host}-1"


def test_the_place_of_a_killed_worker_is_free_again_and_a_living_one_is_found(
    tmp_path: Path, held: list[WorkerPlace]
) -> None:
    run = _begin(tmp_path / "s")
    command = [sys.executable, "-c", HOLD_PLACE_CODE, str(run.file)]
    process = subprocess.Popen(command, env=SUBPROCESS_ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    name = process.stdout.readline().strip()
    assert [worker.pid for worker in run.find_living_workers()] == [process.pid]
    process.kill()
    process.communicate()
    assert not list(run.find_living_workers())
    place = _take(run, held)
    assert place is not None
    assert place.name == name


def test_each_worker_has_a_gpu_of_its_own(
    tmp_path: Path, held: list[WorkerPlace], monkeypatch: pytest.MonkeyPatch
) -> None:
    install_fake_gpus(2, tmp_path / "bin", monkeypatch)
    run = _begin(tmp_path / "s", devices=1)
    selected = []
    for _ in range(2):
        assert _take(run, held) is not None
        selected.append(os.environ[VISIBLE_VARIABLE])
    assert selected == ["0", "1"]
    assert _take(run, held) is None
    assert describe_taken_places(run) == (f"no GPU is free on {current_process().host}: other workers have its 2 GPUs")


def test_the_gpus_of_another_run_are_passed_over(
    tmp_path: Path, held: list[WorkerPlace], monkeypatch: pytest.MonkeyPatch
) -> None:
    install_fake_gpus(4, tmp_path / "bin", monkeypatch)
    first, second = _begin(tmp_path / "s", devices=1), _begin(tmp_path / "other", devices=2)
    _take(first, held)
    place = _take(second, held)
    assert place is not None
    assert (place.number, [gpu.index for gpu in place.gpus]) == (0, ["1", "2"])
    assert _take(second, held) is None, "one GPU is left, and it wants two"
    last = _take(first, held)
    assert last is not None
    assert [gpu.index for gpu in last.gpus] == ["3"]


def test_a_run_on_the_cpu_leaves_gpus_alone(
    tmp_path: Path, held: list[WorkerPlace], monkeypatch: pytest.MonkeyPatch
) -> None:
    install_fake_gpus(1, tmp_path / "bin", monkeypatch)
    run = _begin(tmp_path / "s", devices=0)
    places = [_take(run, held) for _ in range(2)]
    assert [place and place.gpus for place in places] == [(), ()]
    assert VISIBLE_VARIABLE not in os.environ


def test_a_place_in_a_run_that_was_removed_leaves_no_folder(tmp_path: Path) -> None:
    run = _begin(tmp_path / "s")
    run.remove()
    with pytest.raises(UserError, match="the run is over"):
        take_place(run)
    assert not run.folder.exists()
    assert run_worker(run.file, 0) == [f"{run.file}: the run is over"]


def test_a_run_whose_places_vanish_while_one_is_made_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = _begin(tmp_path / "s")
    run.places_folder.mkdir(exist_ok=True)
    make_folder = os.mkdir

    def remove_after_refusal(path: Path, *arguments: int) -> None:
        try:
            make_folder(path, *arguments)
        except FileExistsError:
            run.remove()
            raise

    monkeypatch.setattr(os, "mkdir", remove_after_refusal)
    with pytest.raises(UserError, match="the run is over"):
        take_place(run)


def test_who_leaves_a_run_that_is_over_last_removes_what_is_left_of_it(tmp_path: Path) -> None:
    """A network disk keeps a folder as long as a file in it is open, and so the place of a worker."""
    run = _begin(tmp_path / "s")
    place = take_place(run)
    assert place is not None
    run.file.unlink()
    worker_process.work_in_place(run, place, 0, [])
    assert not run.folder.exists()


def test_a_worker_without_a_place_says_so_and_leaves(
    tmp_path: Path, held: list[WorkerPlace], monkeypatch: pytest.MonkeyPatch
) -> None:
    install_fake_gpus(1, tmp_path / "bin", monkeypatch)
    monkeypatch.setattr(worker_process, "PLACE_SECONDS", 0.0)
    run = _begin(tmp_path / "s", devices=1)
    _take(run, held)
    os.environ.pop(VISIBLE_VARIABLE)
    lines = run_worker(run.file, 1)
    assert lines == [describe_taken_places(run)]
    assert run.read_wait_notices() == lines
    assert run.count_workers_without_place() == 1


def test_more_workers_than_gpus_end_a_run_no_sooner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those without a place leave again and again; the one that has the GPU makes all."""
    install_fake_gpus(1, tmp_path / "bin", monkeypatch)
    monkeypatch.setenv("PYTHONPATH", SUBPROCESS_ENVIRONMENT["PYTHONPATH"])
    code = "from convarium.workers import worker_process; worker_process.PLACE_SECONDS = 0.0\n"
    monkeypatch.setattr("convarium.workers.local_backend.WORKER_CODE", f"{code}{WORKER_CODE}")
    nodes = [make_fake_node(f"n{index}", seconds=0.5, epochs=16, journal=tmp_path / "journal") for index in range(3)]
    statuses = controller.run_plan(
        make_fake_plan(*nodes), Store(tmp_path / "s"), LocalBackend, 3, build_progress_display(True), devices=1
    )
    assert {status.state for status in statuses.values()} == {"done"}
    pids = {line.split()[1] for line in (tmp_path / "journal").read_text().splitlines()}
    assert len(pids) == 1


def test_a_run_waits_where_another_has_all_gpus(
    tmp_path: Path, held: list[WorkerPlace], monkeypatch: pytest.MonkeyPatch
) -> None:
    install_fake_gpus(1, tmp_path / "bin", monkeypatch)
    monkeypatch.setenv("PYTHONPATH", SUBPROCESS_ENVIRONMENT["PYTHONPATH"])
    code = "from convarium.workers import worker_process; worker_process.PLACE_SECONDS = 0.0\n"
    monkeypatch.setattr("convarium.workers.local_backend.WORKER_CODE", f"{code}{WORKER_CODE}")
    other = _take(_begin(tmp_path / "other", devices=1), held)
    assert other is not None
    os.environ.pop(VISIBLE_VARIABLE)
    jobs: list[int] = []

    class CountingBackend(LocalBackend):
        def submit(self, count: int) -> None:
            jobs.append(count)
            if len(jobs) == 6:
                assert self._run.read_wait_notices() == [describe_taken_places(self._run)]
                other.leave()
                held.clear()
            super().submit(count)

    node = make_fake_node("one")
    statuses = controller.run_plan(
        make_fake_plan(node), Store(tmp_path / "s"), CountingBackend, 2, build_progress_display(True), devices=1
    )
    assert statuses[node.signature].state == "done"
    assert len(jobs) >= 6


def test_on_a_host_with_gpus_even_a_single_worker_is_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_fake_gpus(1, tmp_path / "bin", monkeypatch)
    store = Store(tmp_path / "s")
    store.prepare()
    on_gpu, on_cpu = (Run.begin(make_fake_plan(), store, 1, devices=devices) for devices in (1, 0))
    assert isinstance(build_local_backend(on_gpu), LocalBackend)
    assert not isinstance(build_local_backend(on_cpu), LocalBackend)


def test_a_place_is_taken_before_torch_is_imported() -> None:
    modules = "convarium.workers.worker_process, convarium.cli.work, convarium.compose.hydra_launcher"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=SUBPROCESS_ENVIRONMENT, check=False).returncode == 0


def test_the_run_s_file_says_the_threads_of_all_workers(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    store.prepare()
    echo = make_fake_node("echo", stage="echo")
    run = Run.begin(make_fake_plan(echo), store, 4, threads=3)
    assert json.loads(run.file.read_text())["threads"] == 3
    assert run_worker(run.file, 0) == []
    done = store.find_record(echo.signature)
    assert done is not None
    assert (done["threads"], done["result"]["runtime"]) == (3, 3)
