"""Ctrl-C, a request to end and a closed terminal stop a run; nothing that is stopped has failed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from convarium.cli import main
from waiting import wait_until

POINTS = ("dataset=digits", "architecture=mlp", "recipe.epochs=100000", "seed=0,1", "runtime.threads=1")
BASIC, POOL = "hydra/launcher=basic", "runtime.workers=2"


@pytest.fixture
def begin(here: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Begin a run in a session of its own, as a terminal would; what is left of it is killed."""
    begun: list[subprocess.Popen[str]] = []

    def start(*arguments: str, ignoring: signal.Signals | None = None) -> subprocess.Popen[str]:
        code = "import sys; from convarium.cli import main; sys.exit(main())"
        if ignoring:
            code = f"import signal; signal.signal(signal.{ignoring.name}, signal.SIG_IGN); {code}"
        begun.append(
            subprocess.Popen(
                [sys.executable, "-c", code, *arguments],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            )
        )  # fmt: skip
        return begun[-1]

    yield start
    for process in begun:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.parametrize(
    ("launcher", "number", "times"),
    [
        (BASIC, signal.SIGINT, 1),
        (BASIC, signal.SIGINT, 2),
        (BASIC, signal.SIGTERM, 1),
        (BASIC, signal.SIGHUP, 1),
        (POOL, signal.SIGINT, 1),
        (POOL, signal.SIGHUP, 1),
    ],
)
def test_an_interrupted_run_has_not_failed_and_keeps_its_checkpoint(
    launcher: str, number: signal.Signals, times: int, begin: Callable[..., subprocess.Popen[str]], here: Path
) -> None:
    process = begin("run", *POINTS, launcher)
    store = here / "outputs/store"
    wait_until(lambda: list(store.glob("train/*/checkpoints/train.ckpt")))
    for _ in range(times):
        os.killpg(process.pid, number)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert "Traceback" not in said
    assert not list(store.glob("*/*/failed.json"))
    assert main(["gc"]) == 0
    assert list(store.glob("train/*/checkpoints/train.ckpt"))
    wait_until(lambda: not _session(process.pid))


@pytest.mark.parametrize("seconds", [0.0, 0.5, 2.0])
def test_an_interrupt_while_all_is_still_imported_and_set_up_is_no_failure(
    seconds: float, begin: Callable[..., subprocess.Popen[str]], here: Path
) -> None:
    process = begin("run", *POINTS, BASIC)
    store = here / "outputs/store"
    wait_until(lambda: list(store.glob("runs/*/run.json")))
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert "Traceback" not in said
    assert not list(store.glob("*/*/failed.json"))


def test_a_signal_that_is_ignored_stays_ignored(begin: Callable[..., subprocess.Popen[str]], here: Path) -> None:
    process = begin("run", *POINTS, BASIC, ignoring=signal.SIGHUP)
    store = here / "outputs/store"
    wait_until(lambda: list(store.glob("train/*/checkpoints/train.ckpt")))
    os.killpg(process.pid, signal.SIGHUP)
    time.sleep(1.0)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 130


def _session(leader: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] not in "ZX":
            found.append(int(path.parent.name))
    return found
