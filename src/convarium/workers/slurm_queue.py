"""The jobs of a run as Slurm's queue shows them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from convarium.workers.slurm_command import SlurmRefusal, run_slurm_command

PATIENCE_SECONDS = 600.0  # for which squeue may fail
FIELDS = ("JobArrayID", "State", "RestartCnt")
# A job in any other state lives, those of a later Slurm included.
END_STATES = frozenset({
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED",
    "TIMEOUT",
})  # fmt: skip
WAITING_STATES = frozenset(["CONFIGURING", "PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT"])
LEAVING_STATE = "COMPLETING"  # its processes may still be there, while the rest tells of its next start already


@dataclass(frozen=True)
class QueuedJob:
    """A job in the queue.

    Attributes:
        state: Slurm's word.
        restarts: how often it was begun again.
    """

    state: str
    restarts: int

    @property
    def is_over(self) -> bool:
        """Whether it will not run any more."""
        return self.state in END_STATES

    @property
    def is_waiting(self) -> bool:
        """Whether it waits to start, for the first time or again."""
        return self.state in WAITING_STATES

    @property
    def is_running(self) -> bool:
        """Whether its worker is there, and not about to be ended."""
        return not (self.is_over or self.is_waiting or self.state == LEAVING_STATE)


@dataclass(frozen=True)
class QueueView:
    """What a successful squeue told.

    Attributes:
        begun_at: when it was called, in this process's monotonic time.
        jobs: by their ids.
    """

    begun_at: float
    jobs: Mapping[str, QueuedJob]


class SlurmQueue:
    """Looks at the queue now and then.

    Args:
        run_id: the name of the jobs.
        rest_seconds: for which no second look is taken.

    Raises:
        SlurmRefusal: Slurm does not answer.
    """

    def __init__(self, run_id: str, rest_seconds: float) -> None:
        self._run_id, self._rest_seconds = run_id, rest_seconds
        self.view = read_queue(run_id)
        self._next_look = self.view.begun_at + rest_seconds

    def look(self) -> QueueView:
        """Return the newest view; take one where it is time for it.

        Raises:
            SlurmRefusal: squeue has failed for PATIENCE_SECONDS.
        """
        if time.monotonic() < self._next_look:
            return self.view
        try:
            self.view = read_queue(self._run_id)
        except SlurmRefusal as error:
            if time.monotonic() - self.view.begun_at > PATIENCE_SECONDS:
                raise SlurmRefusal(f"Slurm has not answered for {PATIENCE_SECONDS / 60:.0f} minutes: {error}") from None
        self._next_look = time.monotonic() + self._rest_seconds
        return self.view


def read_queue(run_id: str) -> QueueView:
    """Ask Slurm for the jobs of a run.

    Raises:
        SlurmRefusal: it does not answer.
    """
    begun_at = time.monotonic()
    fields = ",".join(f"{field}:|" for field in FIELDS)
    text = run_slurm_command(
        "squeue", "--noheader", "--array", "--states=all", f"--name={run_id}", f"--Format={fields}"
    )
    rows = [line.split("|") for line in text.splitlines() if line.strip()]
    return QueueView(begun_at, {job_id: QueuedJob(state, int(restarts)) for job_id, state, restarts, *_ in rows})
