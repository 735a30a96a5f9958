"""Workers that others start, each by `convarium work RUN`: jobs of any scheduler, pods, an ssh loop."""

import shlex
import time
from collections.abc import Sequence
from typing import ClassVar

from convarium.workers.backend import Job
from convarium.workers.lease import LeaseManager
from convarium.workers.run_file import Run

LOOK_SECONDS = 1.0  # places are read again after so long


class ExternalBackend:
    """Starts nothing, and tells who works for a run by its living places.

    No job ever ends here: others may come at any time, so a run is not over because its workers have left. While there
    is none, the run says how one is started.

    Args:
        cpus_per_task: threads of each worker, which `run` says already.
    """

    outlives_controller: ClassVar[bool] = True

    def __init__(self, run: Run, cpus_per_task: int) -> None:
        self._run = run
        self._leases = LeaseManager(run.id)
        self._notice = run.build_wait_notice("workers")
        self._jobs: list[Job] = []
        self._next_look = 0.0

    def submit(self, count: int) -> None:
        """Start nothing."""

    def states(self) -> Sequence[Job]:
        """Return a job for each worker that is there, by its place."""
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + LOOK_SECONDS
            self._jobs = [Job(name, "running") for name, _ in self._run.find_living_places(self._leases)]
            self._say_whether_workers_are_missing()
        return self._jobs

    def cancel(self) -> None:
        """Do nothing: workers leave at their next check once the run is stopped or over."""

    def _say_whether_workers_are_missing(self) -> None:
        if self._jobs:
            self._notice.clear()
        else:
            folder = shlex.quote(str(self._run.folder))
            self._notice.update(lambda: f"waits for workers, which others start: convarium work {folder}")
