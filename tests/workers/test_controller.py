import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from convarium.errors import UserError
from convarium.host.process import is_on_this_host, is_process_alive
from convarium.store.store import Store
from convarium.workers.run_file import Run
from store.fake_run import (
    SUBPROCESS_ENVIRONMENT,
    launch_in_joblib,
    launch_in_processes,
    make_fake_node,
    make_fake_plan,
    make_fake_sweep,
    read_stored_results,
    run_plan_silently,
)
from waiting import wait_until

Victim = Callable[["Command"], int | None]


class Command:
    """The sweep, run by a program of its own with two workers of joblib."""

    def __init__(self, folder: Path) -> None:
        self.store, self.journal = folder / "store", folder / "journal"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "store.fake_run", str(self.store), str(self.journal), "launch_in_joblib"],
            env=SUBPROCESS_ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def controller(self) -> int | None:
        return self.process.pid

    def worker(self) -> int | None:
        pids = [process.pid for process in self.workers()]
        return pids[0] if pids else None

    def child(self) -> int | None:
        lines = self.journal.read_text().splitlines() if self.journal.exists() else []
        children = [int(line.split()[1]) for line in lines if line.startswith("child")]
        return children[-1] if children else None

    def workers(self) -> list:  # type: ignore[type-arg]
        return [process for run in _runs(self.store) for process in run.find_living_workers()]

    def states(self) -> list[str]:
        text = self.process.communicate(timeout=60)[0]
        states: list[str] = json.loads(text.splitlines()[-1]) if text.strip() else []
        return states


def _runs(store: Path) -> list[Run]:
    try:
        return [Run.read(file) for file in (store / "runs").glob("*/run.json")]
    except UserError:
        return []


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("undisturbed")
    run_plan_silently(make_fake_sweep(), root, launch_in_processes)
    return root


@pytest.mark.parametrize("who", ["controller", "worker", "child"])
@pytest.mark.parametrize("seed", range(2))
def test_nothing_is_lost_by_a_kill_at_a_random_moment(tmp_path: Path, undisturbed: Path, who: str, seed: int) -> None:
    command, victim = Command(tmp_path), getattr(Command, who)
    wait_until(lambda: victim(command) is not None and command.journal.exists())
    time.sleep(random.Random(f"{who} {seed}").uniform(0.0, 1.0))
    workers, pid = command.workers(), victim(command)
    _kill(pid)
    states = command.states()
    if who == "controller":
        wait_until(lambda: not any(is_on_this_host(process) and is_process_alive(process) for process in workers))
    if who == "worker":
        assert set(states) == {"done"}, "the controller launched another"
    assert set(_again(command, seed)) == {"done"}
    assert read_stored_results(command.store) == read_stored_results(undisturbed)


def test_workers_die_with_their_controller(tmp_path: Path) -> None:
    command = Command(tmp_path)
    wait_until(lambda: len(command.workers()) == 2)
    workers = command.workers()
    _kill(command.process.pid)
    command.process.wait()
    wait_until(lambda: not any(is_process_alive(process) for process in workers), 3)


def test_an_interrupt_stops_all_workers_and_loses_nothing(tmp_path: Path, undisturbed: Path) -> None:
    command = Command(tmp_path)
    wait_until(lambda: len(command.workers()) == 2 and command.journal.exists())
    workers = command.workers()
    command.process.send_signal(signal.SIGINT)
    assert command.process.wait(timeout=20) != 0
    wait_until(lambda: not any(is_process_alive(process) for process in workers), 3)
    assert not list((command.store / "runs").iterdir())
    assert set(_again(command, 1)) == {"done"}
    assert read_stored_results(command.store) == read_stored_results(undisturbed)


def test_an_interrupt_ends_a_worker_in_the_same_process(tmp_path: Path) -> None:
    one = make_fake_node("slow", seconds=0.05, epochs=400, journal=tmp_path / "journal")
    code = (
        "import sys, pathlib; from store.fake_run import *\n"
        "one = make_fake_node('slow', seconds=0.05, epochs=400, journal=pathlib.Path(sys.argv[2]))\n"
        "run_plan_silently(make_fake_plan(one), pathlib.Path(sys.argv[1]), launch_in_thread, 1)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "s"), str(tmp_path / "journal")],
        env=SUBPROCESS_ENVIRONMENT,
        stderr=subprocess.DEVNULL,
    )
    wait_until((tmp_path / "journal").exists)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) != 0
    folder = Store(tmp_path / "s").find_folder(one.signature)
    assert folder is not None
    assert b'"released": true' in (folder / "lease.0").read_bytes()


@pytest.mark.parametrize("how", ["chained", "exit", "unchained", "forked"])
def test_whatever_a_stage_makes_of_an_interrupt_is_no_failure(tmp_path: Path, how: str) -> None:
    one = f"make_fake_node('any', stage='disguise', how='{how}', journal=pathlib.Path(sys.argv[2]))"
    code = (
        f"import sys, pathlib; from store.fake_run import *\none = {one}\n"
        "run_plan_silently(make_fake_plan(one), pathlib.Path(sys.argv[1]), launch_in_thread, 1)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "s"), str(tmp_path / "journal")],
        env=SUBPROCESS_ENVIRONMENT,
        stderr=subprocess.DEVNULL,
    )
    wait_until((tmp_path / "journal").exists)
    time.sleep(1.0 if how == "forked" else 0.0)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) != 0
    (log,) = (tmp_path / "s").glob("*/*/log.txt")
    assert "stopped" in log.read_text()
    assert not list((tmp_path / "s").glob("*/*/failed.json"))


def test_what_is_stored_launches_nothing(undisturbed: Path) -> None:
    def launch(jobs: list[list[str]]) -> None:
        raise AssertionError(jobs)

    statuses = run_plan_silently(make_fake_sweep(), undisturbed, launch)
    assert {status.state for status in statuses.values()} == {"done"}


def test_two_commands_at_once_share_the_work(tmp_path: Path, undisturbed: Path) -> None:
    first, second = Command(tmp_path), Command(tmp_path)
    assert set(first.states()) == set(second.states()) == {"done"}
    assert read_stored_results(first.store) == read_stored_results(undisturbed)
    begun = [line.split()[0] for line in first.journal.read_text().splitlines() if not line.startswith("child")]
    assert sorted(begun) == sorted(set(begun))


def test_a_launcher_that_raises_is_not_believed(tmp_path: Path) -> None:
    def launch(jobs: list[list[str]]) -> None:
        launch_in_processes(jobs)
        raise RuntimeError("a job failed, says the cluster")

    assert {status.state for status in run_plan_silently(make_fake_sweep(seconds=0), tmp_path, launch).values()} == {
        "done"
    }


def test_a_launcher_that_returns_too_early_is_called_again(tmp_path: Path) -> None:
    calls = []

    def launch(jobs: list[list[str]]) -> None:
        calls.append(len(jobs))
        if len(calls) > 1:
            launch_in_processes(jobs)

    assert {status.state for status in run_plan_silently(make_fake_sweep(seconds=0), tmp_path, launch).values()} == {
        "done"
    }
    assert calls == [2, 2]


def test_launches_in_vain_come_to_an_end(tmp_path: Path) -> None:
    calls = []

    def launch(jobs: list[list[str]]) -> None:
        calls.append(jobs)
        raise RuntimeError("no node\nis free")

    one = make_fake_node("one")
    statuses = run_plan_silently(make_fake_plan(one), tmp_path, launch)
    assert statuses[one.signature].state == "unfinished"
    assert statuses[one.signature].error == "one: RuntimeError: no node"
    assert len(calls) == 3


def test_a_launchers_refusal_is_the_users_line(tmp_path: Path) -> None:
    def launch(jobs: list[list[str]]) -> None:
        raise UserError("hydra/launcher=slurm: no such partition")

    with pytest.raises(UserError, match="no such partition"):
        run_plan_silently(make_fake_plan(make_fake_node("one")), tmp_path, launch)


def test_a_stored_result_of_another_config_is_a_hard_error(tmp_path: Path) -> None:
    one = make_fake_node("one")
    run_plan_silently(make_fake_plan(one), tmp_path, launch_in_processes)
    folder = Store(tmp_path).find_folder(one.signature)
    assert folder is not None
    record = json.loads((folder / "done.json").read_text())
    record["stage_config"]["seed"] = 1
    (folder / "done.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match=str(folder)):
        run_plan_silently(make_fake_plan(one), tmp_path, launch_in_processes)


def test_reuse_over_changed_source_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ones = [make_fake_node(f"n{index}") for index in range(3)]
    run_plan_silently(make_fake_plan(*ones), tmp_path, launch_in_processes, workers=1)
    capsys.readouterr()
    run_plan_silently(make_fake_plan(*ones), tmp_path, launch_in_processes)
    assert capsys.readouterr().err == ""
    for one in ones:
        path = Store(tmp_path).folder_of(one) / "done.json"
        path.write_text(path.read_text().replace('"source": "', '"source": "0'))
    run_plan_silently(make_fake_plan(*ones), tmp_path, launch_in_processes)
    assert capsys.readouterr().err == "convarium: 3 stored results were made by other source code than this\n"


def test_a_store_that_cant_be_written_to_is_the_users_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't write to the store"):
        run_plan_silently(make_fake_plan(make_fake_node("one")), tmp_path / "file" / "store", launch_in_processes)


LIMITED = """
import resource, signal, sys, pathlib
from convarium.errors import UserError
from store.fake_run import *
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
large = make_fake_node("large", stage="fail", how="large")
try:
    plan = make_fake_plan(large, make_fake_node("small"))
    statuses = run_plan_silently(plan, pathlib.Path(sys.argv[1]), launch_in_thread, 1)
    print([(status.state, status.error) for status in statuses.values()])
except UserError as error:
    print("mistake", error)
"""


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        (1 << 20, "[('failed', 'large: OSError: [Errno 27] File too large'), ('done', None)]"),
        (1 << 12, "mistake can't write to the store {}: File too large"),
    ],
)
def test_a_disk_that_fills_up_harms_nothing_stored(tmp_path: Path, limit: int, said: str) -> None:
    code = [sys.executable, "-c", LIMITED, str(tmp_path), str(limit)]
    done = subprocess.run(code, env=SUBPROCESS_ENVIRONMENT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == said.format(tmp_path)
    assert done.stderr == ""
    assert {record["name"] for record in Store(tmp_path).read_records()} <= {"small"}


@pytest.mark.parametrize("launch", [launch_in_processes, launch_in_joblib])
def test_all_launchers_give_one_result(tmp_path: Path, undisturbed: Path, launch: Callable[..., None]) -> None:
    run_plan_silently(make_fake_sweep(), tmp_path, launch)
    assert read_stored_results(tmp_path) == read_stored_results(undisturbed)


def _again(command: Command, seed: int) -> list[str]:
    """The same command, or the same plan in this process, which is sooner ready."""
    if seed == 0:
        return Command(command.store.parent).states()
    return [
        status.state
        for status in run_plan_silently(make_fake_sweep(command.journal), command.store, launch_in_processes).values()
    ]


def _kill(pid: int | None) -> None:
    assert pid is not None
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
