"""A run is followed by one process of its own, whose fate is never the run's."""

import gzip
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from convarium.cli import main
from convarium.errors import UserError
from convarium.store.store import Store
from convarium.tracking.live_sync import sync_during_run
from convarium.tracking.tracked_runs import read_runs_from_database
from tracking import fake_store
from waiting import wait_until

pytestmark = pytest.mark.xdist_group("mlflow")

POINT = ("compression=none", "seed=0")


def tracking(uri: str | None, name: str = "mlflow") -> dict[str, Any]:
    return {"name": name, "uri": uri, "experiment": "convarium"}


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as opened:
        yield opened.getsockname()[1]


def test_what_gets_done_meanwhile_is_written(here: Path, empty: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("random", "mlflow"):
        (here / f"{name}.py").write_text("raise ImportError('this is not the library')\n")
    store = Store(here / "store")
    asked = fake_store.plan_sweep(store.root, POINT)
    with sync_during_run(tracking(empty), asked, store, None):
        fake_store.store_fake_sweep(store.root, POINT)
        wait_until(lambda: read_runs_from_database(empty, "convarium").networks)
        assert len(read_runs_from_database(empty, "convarium").networks) == 1, "written while the run goes on"
    assert capsys.readouterr().err == ""
    assert all(known.state for known in read_runs_from_database(empty, "convarium").networks.values())


def test_a_tracker_that_hangs_neither_stops_nor_slows_the_run(
    stored: Path, silent: int, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = fake_store.plan_sweep(stored, POINT)
    start = time.monotonic()
    with sync_during_run(tracking(f"http://user:geheim@127.0.0.1:{silent}"), asked, Store(stored), None):
        assert time.monotonic() - start < 2
    assert time.monotonic() - start < 30
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"convarium: tracker http://user:***@127.0.0.1:{silent}:")
    assert line.endswith("nothing is lost, `convarium sync` completes it")


def test_a_tracker_that_is_gone_is_one_line(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = fake_store.plan_sweep(stored, POINT)
    with sync_during_run(tracking("postgresql://user:geheim@127.0.0.1:1/db"), asked, Store(stored), None):
        pass
    (line,) = capsys.readouterr().err.splitlines()
    assert "Connection refused" in line
    assert "geheim" not in line


def test_a_run_that_is_killed_leaves_a_complete_tracker(tmp_path: Path, empty: str) -> None:
    code = f"""
        import os, signal
        from pathlib import Path
        from tracking import fake_store
        from convarium.store.store import Store
        from convarium.tracking.live_sync import sync_during_run

        root = Path({str(tmp_path / "store")!r})
        with sync_during_run({tracking(empty)!r}, fake_store.plan_sweep(root, {POINT!r}), Store(root), None):
            fake_store.store_fake_sweep(root, {POINT!r})
            os.kill(os.getpid(), signal.SIGKILL)
    """
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    wait_until(lambda: any(known.state for known in read_runs_from_database(empty, "convarium").networks.values()))


def test_without_tracking_nothing_is_started(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
    with sync_during_run(tracking(None, "none"), fake_store.plan_sweep(stored, POINT), Store(stored), None):
        pass


def test_an_address_that_is_none_ends_before_anything_runs(stored: Path) -> None:
    asked = fake_store.plan_sweep(stored, POINT)
    with (
        pytest.raises(UserError, match="keeps no runs in plain files"),
        sync_during_run(tracking("file:mlruns"), asked, Store(stored), None),
    ):
        pytest.fail("the run began")


def test_a_plan_and_a_table_have_no_password(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["tracking=mlflow", "tracking.uri='postgresql://user:geheim@127.0.0.1:1/db'", f"runtime.store={stored}"]
    assert main(["run", *fake_store.SWEEP, *line, "--json"]) == 0
    assert main(["run", *fake_store.SWEEP, *line, "--cfg", "job"]) == 0
    assert main(["run", "tracking.uri=a://user:geheim@host,b://user:geheim@host", "tracking=mlflow"]) == 2
    captured = capsys.readouterr()
    assert "geheim" not in captured.out + captured.err
    assert not [file for file in stored.rglob("*.json") if "geheim" in file.read_text()]
    plans = [gzip.decompress(file.read_bytes()) for file in stored.rglob("*.json.gz")]
    assert plans
    assert not any(b"geheim" in text for text in plans)
