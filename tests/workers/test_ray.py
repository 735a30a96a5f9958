"""Workers that Ray starts, by Hydra's stock launcher: a sweep of fake stages on a Ray of one host."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from convarium.errors import UserError
from convarium.host.process import Process
from convarium.workers.run_file import Run
from store.fake_run import (
    SUBPROCESS_ENVIRONMENT,
    launch_in_processes,
    read_stored_results,
    run_plan_silently,
)
from workers.ray_run import make_ray_sweep

pytestmark = pytest.mark.xdist_group("ray")
DEADLINE_SECONDS = 120.0
OFFLINE = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}


class RayCommand:
    """The sweep, run by a program of its own, with which its Ray ends."""

    def __init__(self, folder: Path, ray_folder: Path, retries: int) -> None:
        self.store, self.journal = folder / "store", folder / "journal"
        arguments = [self.store, self.journal, ray_folder, retries]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "workers.ray_run", *map(str, arguments)],
            env=SUBPROCESS_ENVIRONMENT | OFFLINE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for_workers(self, count: int) -> list[Process]:
        """Return so many workers that make stages."""
        end = time.monotonic() + DEADLINE_SECONDS
        while len(workers := [*self._find_workers()]) < count or len(self.list_begun()) < count:
            assert self._process.poll() is None, self._process.communicate()
            assert time.monotonic() < end
            time.sleep(0.05)
        return workers

    def list_begun(self) -> list[tuple[str, int]]:
        """Return the name of each stage that was begun, and by which process."""
        lines = self.journal.read_text().splitlines() if self.journal.exists() else []
        begun = [line.split() for line in lines if not line.startswith("child")]
        return [(name, int(pid)) for name, pid in begun]

    def read_ends(self) -> list[str]:
        """Return how the nodes ended."""
        out, error = self._process.communicate(timeout=DEADLINE_SECONDS)
        assert self._process.returncode == 0, error
        ends: list[str] = json.loads(out.splitlines()[-1])
        return ends

    def kill(self) -> None:
        """End the command and its Ray, if they have not ended."""
        self._process.kill()
        self._process.wait()

    def _find_workers(self) -> Iterator[Process]:
        for file in (self.store / "runs").glob("*/run.json"):
            with suppress(UserError):
                yield from Run.read(file).find_living_workers()


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    """A folder for Ray's sockets, whose paths must be short; skip where there is no Ray."""
    if find_spec("ray") is None or find_spec("hydra_plugins.hydra_ray_launcher") is None:
        (pytest.fail if os.environ.get("RAY") == "required" else pytest.skip)("no Ray: make ray")
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("retries", [3, 0], ids=["Ray starts another", "the launcher ends by it"])
def test_a_killed_worker_of_ray_loses_nothing_and_harms_no_other(
    retries: int, ray_folder: Path, tmp_path: Path
) -> None:
    command = RayCommand(tmp_path, ray_folder, retries)
    try:
        victim, _ = command.wait_for_workers(2)
        (interrupted,) = {name for name, pid in command.list_begun() if pid == victim.pid}
        os.kill(victim.pid, signal.SIGKILL)
        plan = make_ray_sweep()
        assert command.read_ends() == ["done"] * len(plan.nodes)
    finally:
        command.kill()
    begun = Counter(name for name, _ in command.list_begun())
    assert begun == {node.name: 2 if node.name == interrupted else 1 for node in plan.nodes.values()}
    run_plan_silently(plan, tmp_path / "calm", launch_in_processes, workers=4)
    assert read_stored_results(command.store) == read_stored_results(tmp_path / "calm")
