"""What a controller needs of a place that runs workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Job:
    """One worker that was asked for.

    Attributes:
        id: what the place calls it: a process id, a job id of a cluster.
        state: "waiting" (not started yet), "running" or "ended".
        error: why the place itself could not start or end it properly; what the worker met stands in the run's folder.
        exit_code: of a process that has ended, the negative of a signal that killed it; None where it is not known.
    """

    id: str
    state: str
    error: BaseException | None = None
    exit_code: int | None = None


class Backend(Protocol):
    """Starts workers of one run and tells how they are; results come from the store, never from here."""

    def submit(self, count: int) -> None:
        """Ask for so many more workers.

        Raises:
            UserError: the place refuses, for a reason that the user can mend.
        """

    def states(self) -> Sequence[Job]:
        """Return the jobs of all controllers of the run that are not yet known to have ended, and those that have."""

    def cancel(self) -> None:
        """End all workers of the run that have not left by themselves within a moment."""
