"""The jobs of a run as Slurm's queue shows them."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from convarium.workers.slurm_command import SlurmRefusal, run_slurm_command

PATIENCE_SECONDS = 600.0  # for which squeue may fail
FIELDS = ("JobArrayID", "State", "RestartCnt", "Reason", "NodeList", "TimeUsed")
NOTHING_WORDS = ("", "None", "N/A", "(null)")  # where squeue has nothing to say
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
        reason: why it waits, or how it ended, in Slurm's words; None where Slurm gives none.
        host: on which it runs, or ran; None where it has not started.
        seconds: for which it has run since it was last started.
    """

    state: str
    restarts: int
    reason: str | None = field(default=None, compare=False)
    host: str | None = field(default=None, compare=False)
    seconds: int = field(default=0, compare=False)

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

    @property
    def job_state(self) -> str:
        """The state as a backend tells it: "waiting", "running" or "ended"."""
        if self.is_over:
            return "ended"
        return "waiting" if self.is_waiting else "running"


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
    return QueueView(begun_at, {row[0]: _parse_job(row) for row in rows})


def cancel_waiting_jobs(run_id: str) -> None:
    """Cancel the jobs of a run that have not started; one that starts after all finds the run over, and ends."""
    with suppress(SlurmRefusal):
        run_slurm_command("scancel", "--state=PENDING", f"--name={run_id}")


def _parse_job(row: Sequence[str]) -> QueuedJob:
    _, state, restarts, reason, host, time_used = (text.strip() for text in row[: len(FIELDS)])
    return QueuedJob(
        state,
        int(restarts),
        None if reason in NOTHING_WORDS else reason,
        None if host in NOTHING_WORDS else host,
        _parse_seconds(time_used),
    )


def _parse_seconds(time_used: str) -> int:
    """Return the seconds of `[days-][hours:]minutes:seconds`; 0 of anything else, such as INVALID."""
    days, _, clock = time_used.rpartition("-")
    try:
        seconds = 0
        for part in clock.split(":"):
            seconds = 60 * seconds + int(part)
        return 86400 * int(days or 0) + seconds
    except ValueError:
        return 0
