"""Workers on this host, each a process of its own that is watched by itself."""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from convarium.child_process import build_python_command
from convarium.config.override import Override
from convarium.host.devices import list_gpus
from convarium.workers.backend import Backend, Job
from convarium.workers.launcher_backend import LauncherBackend
from convarium.workers.lease import LeaseManager
from convarium.workers.run_file import Run
from convarium.workers.worker_process import run_worker

CANCEL_GRACE_SECONDS = 3.0
POLL_SECONDS = 0.05
WORKER_CODE = """
from pathlib import Path
from convarium.workers.worker_process import run_worker
run_worker(Path(sys.argv[1]), int(sys.argv[2]))
"""


def build_local_backend(run: Run) -> Backend:
    """Return what starts workers on this host.

    A single one works in this process, which has imported all it needs, unless it is to have a GPU (those are chosen
    before torch is imported) or to outlive the controller.
    """
    has_gpus = run.devices > 0 and bool(list_gpus())
    is_done_here = run.workers == 1 and run.owner is None and not has_gpus
    return LauncherBackend(run, _run_workers_here) if is_done_here else LocalBackend(run)


class LocalBackend:
    """Starts plain processes; when one is killed, the others go on.

    The workers that an earlier controller of the run has left count as jobs as well, each by its place.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._processes: list[subprocess.Popen[bytes]] = []
        self._leases = LeaseManager(run.id)
        self._orphans = [name for name, _ in run.find_living_places(self._leases)]

    def submit(self, count: int) -> None:
        """Start so many more workers."""
        for _ in range(count):
            number = len(self._processes)
            command = [*build_python_command(WORKER_CODE), str(self._run.file), str(number)]
            self._processes.append(_start_without_hangup(command))

    def states(self) -> Sequence[Job]:
        """Return a job for each process that was started, and for each worker that was there before."""
        living_places = {name for name, _ in self._run.find_living_places(self._leases)} if self._orphans else set()
        orphans = [Job(name, "running" if name in living_places else "ended") for name in self._orphans]
        return [*orphans, *map(_build_job, self._processes)]

    def cancel(self) -> None:
        """Kill the processes that don't leave within a moment."""
        end = time.monotonic() + CANCEL_GRACE_SECONDS
        while time.monotonic() < end and any(process.poll() is None for process in self._processes):
            time.sleep(POLL_SECONDS)
        for process in self._processes:
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()


def _build_job(process: "subprocess.Popen[bytes]") -> Job:
    exit_code = process.poll()
    return Job(str(process.pid), "running" if exit_code is None else "ended", exit_code=exit_code)


def _run_workers_here(jobs: list[list[str]]) -> None:
    for texts in jobs:
        values = {override.key: override.value for override in map(Override, texts)}
        run_worker(Path(values["runtime.plan"]), int(values["runtime.worker"]))


def _start_without_hangup(command: list[str]) -> "subprocess.Popen[bytes]":
    """Start a process that a hangup of the terminal does not end: the controller alone hears it, and tells its workers.

    What it prints goes to stderr, since stdout is the command's own.
    """
    if sys.platform == "win32":
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno())
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # which the process inherits
    try:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=2)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
