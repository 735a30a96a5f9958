import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from convarium.errors import StageFailed, UserError
from convarium.workers.fresh_process import run_in_fresh_process
from store.fake_run import SUBPROCESS_ENVIRONMENT
from waiting import wait_until

OURS = "store.fake_stage:misbehave"


def test_a_function_runs_in_a_new_process_each_time() -> None:
    (first, server), (second, same) = run_in_fresh_process(OURS, "pids"), run_in_fresh_process(OURS, "pids")
    assert len({first, second, server, os.getpid()}) == 4
    assert server == same, "the imports are paid once"


def test_it_never_sees_this_process_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    import math

    monkeypatch.setattr(math, "sqrt", lambda x: "damaged")
    assert run_in_fresh_process("math:sqrt", 4) == 2


def test_large_answers_come_whole() -> None:
    assert len(run_in_fresh_process(OURS, "large")) == 3_000_000


def test_failures_come_back_in_their_line() -> None:
    with pytest.raises(UserError, match="no such thing: take another"):
        run_in_fresh_process(OURS, "user")
    with pytest.raises(StageFailed, match="the loss is NaN"):
        run_in_fresh_process(OURS, "stage")
    with pytest.raises(StageFailed, match="RuntimeError: it broke"):
        run_in_fresh_process(OURS, "else")
    with pytest.raises(StageFailed, match="ModuleNotFoundError"):
        run_in_fresh_process("nowhere.at.all:f")


def test_a_killed_process_is_told_and_the_next_one_works() -> None:
    with pytest.raises(StageFailed, match="killed by SIGKILL"):
        run_in_fresh_process(OURS, "killed")
    assert run_in_fresh_process("math:sqrt", 4) == 2


def test_a_killed_server_is_told_and_replaced() -> None:
    server = run_in_fresh_process(OURS, "pids")[1]
    os.kill(server, signal.SIGKILL)
    os.waitid(os.P_PID, server, os.WEXITED | os.WNOWAIT)
    assert run_in_fresh_process("math:sqrt", 4) == 2


def test_output_goes_to_the_log(tmp_path: Path) -> None:
    run_in_fresh_process("builtins:print", "heard", log=tmp_path / "log")
    assert (tmp_path / "log").read_text() == "heard\n"


def test_children_die_with_a_killed_owner(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    code = (
        "import sys; from convarium.workers.fresh_process import run_in_fresh_process;"
        " run_in_fresh_process('store.fake_stage:further', 'x', 60, sys.argv[1])"
    )
    owner = subprocess.Popen([sys.executable, "-c", code, str(journal)], env=SUBPROCESS_ENVIRONMENT)
    child = int(_first_line(journal).split()[1])
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    wait_until(lambda: not Path(f"/proc/{child}").exists() or _is_zombie(child))


def test_it_works_in_joblibs_workers() -> None:
    from joblib import Parallel, delayed

    pids = Parallel(n_jobs=2)(delayed(run_in_fresh_process)(OURS, "pids") for _ in range(4))
    assert len({pid for pid, _ in pids}) == 4


def _first_line(path: Path) -> str:
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"))
    return path.read_text().splitlines()[0]


def _is_zombie(pid: int) -> bool:
    return ") Z" in Path(f"/proc/{pid}/stat").read_text()
