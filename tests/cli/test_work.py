"""`convarium work RUN`: one more worker, in the foreground, of a run that is going on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from command_lines import Call
from convarium.cli import work
from convarium.host.process import current_process
from convarium.planning.plan import Node
from convarium.store import disk
from convarium.store.store import Store
from convarium.workers import wait_notice
from convarium.workers.lease import LeaseManager
from convarium.workers.places import take_place
from convarium.workers.run_file import Run
from host.fake_gpus import install_fake_gpus
from store.fake_run import SUBPROCESS_ENVIRONMENT, make_fake_node, make_fake_plan
from waiting import wait_until

CONTROLLER_CODE = """
import sys, time; from pathlib import Path; from convarium.store.store import Store
from convarium.workers.run_file import Run; from store.fake_run import *
slow = make_fake_node("slow", seconds=0.2, epochs=1000, journal=Path(sys.argv[2]))
store = Store(Path(sys.argv[1])); store.prepare()
print(Run.begin(make_fake_plan(slow), store, 1).file, flush=True)
time.sleep(600)
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a Python program; what is left of it is killed."""
    processes: list[subprocess.Popen[str]] = []

    def start_program(code: str, *arguments: object) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", code, *map(str, arguments)]
        process = subprocess.Popen(
            command, env=SUBPROCESS_ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        processes.append(process)
        return process

    yield start_program
    for process in processes:
        process.kill()
        process.communicate()


def _start_work(start: Start, run_file: Path) -> "subprocess.Popen[str]":
    return start("import sys; from convarium.cli import main; sys.exit(main())", "work", run_file)


def _begin(root: Path, *nodes: Node, devices: int = 0) -> Run:
    store = Store(root)
    store.prepare()
    return Run.begin(make_fake_plan(*nodes), store, 2, devices=devices)


@pytest.mark.parametrize("name", ["", "run.json"])
def test_it_makes_what_is_left(name: str, tmp_path: Path, call: Call) -> None:
    nodes = [make_fake_node(f"n{index}") for index in range(3)]
    run = _begin(tmp_path / "s", *nodes)
    assert call("work", str(run.folder / name)) == (0, "nothing is left for this worker\n", "")
    assert {done["name"] for done in Store(tmp_path / "s").read_records()} == {"n0", "n1", "n2"}
    assert call("work", str(run.folder / name)) == (0, "nothing is left for this worker\n", "")


def test_stages_that_fail_are_told_and_the_exit_code_stays_0(tmp_path: Path, call: Call) -> None:
    run = _begin(tmp_path / "s", make_fake_node("bad", stage="fail", how="stage"), make_fake_node("good"))
    code, out, error = call("work", str(run.folder))
    assert (code, out) == (0, "nothing is left for this worker; 1 stage failed\n")
    assert error == "convarium: store.fake_stage:fail bad: the loss is NaN\n"


def test_a_run_that_is_over_is_no_mistake(tmp_path: Path, call: Call) -> None:
    run = _begin(tmp_path / "s", make_fake_node("one"))
    run.stop()
    assert call("work", str(run.folder)) == (0, "the run is over\n", "")
    run.remove()
    assert call("work", str(run.folder)) == (0, "the run is over\n", "")
    assert call("work", str(run.file)) == (0, "the run is over\n", "")
    assert not run.folder.exists()


def test_any_other_path_is_one(tmp_path: Path, call: Call) -> None:
    run = _begin(tmp_path / "s", make_fake_node("one"))
    (tmp_path / "folder").mkdir()
    for path in (
        "nothing",
        "/",
        tmp_path / "folder",
        tmp_path / "s",
        run.store / "runs" / "x",
        tmp_path / "runs" / run.id,
    ):
        code, out, error = call("work", str(path))
        assert (code, out) == (2, "")
        assert error.startswith(f"convarium: {path} is not a run: expected the folder of one")
        assert error.count("\n") == 1
    assert call("work")[2] == "convarium: convarium work: which run? usage: convarium work RUN [key=value …]\n"
    assert "seed=1: convarium work takes a run and no settings" in call("work", str(run.folder), "seed=1")[2]
    run.file.write_text("{}")
    assert call("work", str(run.folder))[2] == f"convarium: {run.file} is damaged: it has no 'id'\n"


def test_an_empty_folder_at_the_path_of_the_store_is_a_mount_point(tmp_path: Path, call: Call) -> None:
    run = _begin(tmp_path / "s", make_fake_node("one"))
    (tmp_path / "s").rename(tmp_path / "mounted")
    (tmp_path / "s").mkdir()
    assert call("work", str(tmp_path / "mounted" / "runs" / run.id)) == (0, "nothing is left for this worker\n", "")


def test_a_copied_store_is_another_store(tmp_path: Path, call: Call) -> None:
    run = _begin(tmp_path / "s", make_fake_node("one"))
    shutil.copytree(tmp_path / "s", tmp_path / "copy")
    copy = tmp_path / "copy" / "runs" / run.id
    code, _, error = call("work", str(copy))
    assert (code, error) == (2, f"convarium: {copy} is a copy of a run of the store {run.store}; name {run.file}\n")


def test_a_store_that_is_mounted_elsewhere_is_the_same(tmp_path: Path, call: Call) -> None:
    run = _begin(tmp_path / "s", make_fake_node("one"))
    (tmp_path / "s").rename(tmp_path / "mounted")
    assert call("work", str(tmp_path / "mounted" / "runs" / run.id))[0] == 0
    assert len(list(Store(tmp_path / "mounted").read_records())) == 1


def test_the_controller_may_live_on_another_host(tmp_path: Path, call: Call) -> None:
    run = _begin(tmp_path / "s", make_fake_node("one", seconds=0.6))
    fields = json.loads(run.file.read_text())
    fields["controller"] |= {"host": "elsewhere", "pid": 1 << 30}
    disk.write_json(run.file, fields)
    assert call("work", str(run.folder)) == (0, "nothing is left for this worker\n", "")


def test_without_a_free_gpu_it_says_so_and_leaves(tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    install_fake_gpus(1, tmp_path / "bin", monkeypatch)
    run = _begin(tmp_path / "s", make_fake_node("one"), devices=1)
    place = take_place(run)
    assert place is not None
    line = f"no GPU is free on {current_process().host}: other workers have its 1 GPU\n"
    assert call("work", str(run.folder)) == (0, line, "")
    place.leave()
    assert call("work", str(run.folder))[1] == "nothing is left for this worker\n"


def test_whom_it_waits_for_is_said_on_its_own_terminal(
    tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait_notice, "NOTICE_SECONDS", 0.5)
    one = make_fake_node("one", journal=tmp_path / "journal")
    run = _begin(tmp_path / "s", one)
    folder = Store(run.store).folder_of(one)
    folder.mkdir(parents=True)
    lease = LeaseManager("another").take(folder)
    assert lease is not None
    threading.Timer(1.5, lease.release).start()
    code, _, error = call("work", str(run.folder))
    assert code == 0
    assert error.startswith(f"convarium: waits for {current_process().host} process {os.getpid()}, which makes ")


def test_ctrl_c_stops_this_worker_only_and_keeps_its_checkpoint(tmp_path: Path, start: Start) -> None:
    journal = tmp_path / "journal"
    slow = make_fake_node("slow", seconds=0.2, epochs=1000, journal=journal)
    run = _begin(tmp_path / "s", slow)
    folder = Store(run.store).folder_of(slow)
    process = _start_work(start, run.folder)
    wait_until((folder / "checkpoints" / "state.json").exists)
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert error == "convarium: interrupted; what is done is stored, the same command continues\n"
    leases = LeaseManager(run.id)
    lease_info = leases.read(folder)
    assert lease_info is not None
    assert lease_info.state == "released"
    assert (folder / "checkpoints" / "state.json").exists()
    assert not list(run.find_living_workers())
    assert not run.is_over


@pytest.mark.parametrize("end", [signal.SIGKILL, "stop"])
def test_it_leaves_with_a_controller_of_its_host(end: signal.Signals | str, tmp_path: Path, start: Start) -> None:
    journal = tmp_path / "journal"
    controller = start(CONTROLLER_CODE, tmp_path / "s", journal)
    assert controller.stdout is not None
    run_file = Path(controller.stdout.readline().strip())
    process = _start_work(start, run_file)
    wait_until(journal.exists)
    if isinstance(end, signal.Signals):
        controller.send_signal(end)
        controller.wait()
    else:
        Run.read(run_file).stop()
    out, error = process.communicate(timeout=30)
    assert (process.returncode, out, error) == (0, "the run is over\n", "")
    assert not list((tmp_path / "s").glob("*/*/failed.json"))


def test_a_controller_that_ends_after_the_worker_has_left_interrupts_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The thread that watches outlives the command where that ran in a process of others."""
    signals: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: signals.append(number))
    has_left = threading.Event()
    work._interrupt_this_process(has_left)
    has_left.set()
    work._interrupt_this_process(has_left)
    assert signals == [signal.SIGTERM]
