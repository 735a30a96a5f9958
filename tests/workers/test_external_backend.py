"""Runs whose workers others start: each is a call of `convarium work`."""

import json
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from convarium.store.store import Store
from convarium.workers.external_backend import ExternalBackend
from convarium.workers.places import take_place
from convarium.workers.run_claim import find_owner_folder, read_named_run
from convarium.workers.run_file import Run
from store.fake_run import (
    SUBPROCESS_ENVIRONMENT,
    launch_in_processes,
    make_fake_sweep,
    read_stored_results,
    run_plan_silently,
)

CONTROLLER_CODE = """
import json, sys; from pathlib import Path; from store.fake_run import *
from convarium.workers.external_backend import ExternalBackend
plan, display = make_fake_sweep(Path(sys.argv[2])), build_progress_display(True)
build, workers = lambda run: ExternalBackend(run, 1), int(sys.argv[3])
statuses = controller.run_plan(plan, Store(Path(sys.argv[1])), build, workers, display, has_lasting_workers=True)
print(json.dumps(sorted(status.error or status.state for status in statuses.values())))
"""
DEADLINE_SECONDS = 120.0
WORKERS = 2
WAITS = "waits for workers, which others start: "

T = TypeVar("T")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("undisturbed")
    run_plan_silently(make_fake_sweep(), root, launch_in_processes)
    return root


class Command:
    """Processes that control and make one sweep."""

    def __init__(self, folder: Path) -> None:
        self.root, self.journal = folder / "store", folder / "journal"
        self.processes: list[subprocess.Popen[str]] = []

    def start_controller(self) -> "subprocess.Popen[str]":
        return self.start("-c", CONTROLLER_CODE, self.root, self.journal, WORKERS)

    def start_worker(self, run: Run) -> "subprocess.Popen[str]":
        return self.start("-m", "convarium", "work", run.folder)

    def find_run(self) -> Run | None:
        """Return the run that goes on, if any does."""
        root = self.root.resolve()
        return read_named_run(root, find_owner_folder(make_fake_sweep(self.journal), root))

    def list_begun(self) -> list[str]:
        """Return the name of each stage as often as it was begun."""
        lines = self.journal.read_text().splitlines() if self.journal.exists() else []
        return [line.split()[0] for line in lines if not line.startswith("child")]

    def start(self, *arguments: object, stderr: int = subprocess.PIPE) -> "subprocess.Popen[str]":
        """Start this repository's Python."""
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            env=SUBPROCESS_ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        self.processes.append(process)
        return process


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    """A command whose processes end with the test."""
    command = Command(tmp_path)
    yield command
    for process in command.processes:
        process.kill()
        process.communicate()


def test_a_run_without_workers_says_how_one_is_started_and_waits(command: Command, undisturbed: Path) -> None:
    controller = command.start_controller()
    run = _wait_for(command.find_run)
    (line,) = _wait_for(run.read_wait_notices)
    assert line == f"{WAITS}convarium work {run.folder}"
    assert shlex.split(line.removeprefix(WAITS)) == ["convarium", "work", str(run.folder)]
    assert controller.poll() is None
    worker = command.start_worker(run)
    assert _read_ends(controller) == {"done"}
    assert worker.wait(DEADLINE_SECONDS) == 0
    assert read_stored_results(command.root) == read_stored_results(undisturbed)
    assert not run.folder.exists()


def test_a_run_outlasts_its_worker_and_goes_on_with_the_next(command: Command, undisturbed: Path) -> None:
    controller = command.start_controller()
    run = _wait_for(command.find_run)
    worker = command.start_worker(run)
    _wait_for(command.list_begun)
    worker.terminate()
    assert worker.wait(DEADLINE_SECONDS) == 0
    assert controller.poll() is None
    command.start_worker(run)
    assert _read_ends(controller) == {"done"}
    assert read_stored_results(command.root) == read_stored_results(undisturbed)


def test_a_worker_that_leaves_is_no_job_that_has_ended(tmp_path: Path) -> None:
    """A run ends when job after job has ended in vain; this one waits for others, however many have left."""
    store = Store(tmp_path)
    store.prepare()
    run = Run.begin(make_fake_sweep(), store, WORKERS)
    backend = ExternalBackend(run, 1)
    place = take_place(run)
    assert place is not None
    (job,) = _wait_for(backend.states)
    assert (job.id, job.state) == (place.name, "running")
    place.leave()
    _wait_for(lambda: not backend.states())


def test_workers_go_on_without_their_controller_and_the_same_command_finds_them(command: Command) -> None:
    first = command.start_controller()
    run = _wait_for(command.find_run)
    workers = [command.start_worker(run) for _ in range(2)]
    _wait_for(lambda: len(list(run.find_living_workers())) == 2)
    first.kill()
    first.wait()
    second = command.start_controller()
    assert _read_ends(second) == {"done"}
    assert [worker.wait(DEADLINE_SECONDS) for worker in workers] == [0, 0]
    assert set(Counter(command.list_begun()).values()) == {1}


def test_an_interrupt_has_the_workers_leave_and_ends_the_run(command: Command) -> None:
    controller = command.start_controller()
    run = _wait_for(command.find_run)
    worker = command.start_worker(run)
    _wait_for(command.list_begun)
    controller.send_signal(signal.SIGINT)
    assert controller.wait(DEADLINE_SECONDS) != 0
    assert worker.communicate(timeout=DEADLINE_SECONDS)[0] == "the run is over\n"
    assert not run.folder.exists()


def test_another_command_can_cancel_it(command: Command) -> None:
    controller = command.start_controller()
    run = _wait_for(command.find_run)
    worker = command.start_worker(run)
    _wait_for(command.list_begun)
    cancelling = command.start("-m", "convarium", "cancel", run.folder)
    assert cancelling.wait(DEADLINE_SECONDS) == 0
    assert controller.wait(DEADLINE_SECONDS) != 0
    assert worker.communicate(timeout=DEADLINE_SECONDS)[0] == "the run is over\n"


@pytest.mark.parametrize("typed", [["run", "--json"], ["search"], ["search", "--json"]], ids=" ".join)
def test_a_command_says_how_a_worker_is_started(typed: list[str], command: Command, tmp_path: Path) -> None:
    arguments = ["architecture=mlp", "dataset=digits", "recipe.epochs=1", "recipe.lr=0.1,0.2"]
    launcher = ["hydra/launcher=external", f"runtime.store={command.root}"]
    said = tmp_path / "said"
    with said.open("w") as file:
        process = command.start("-m", "convarium", *typed, *arguments, *launcher, stderr=file.fileno())
    _wait_for(lambda: f"{WAITS}convarium work {command.root}/runs/" in said.read_text())
    process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE_SECONDS) != 0


def _read_ends(controller: "subprocess.Popen[str]") -> set[str]:
    out, error = controller.communicate(timeout=DEADLINE_SECONDS)
    assert controller.returncode == 0, error
    return set(json.loads(out))


def _wait_for(find: Callable[[], T | None]) -> T:
    """Return what is found, once something is."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not (found := find()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found
