"""What a controller needs of a place that runs workers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from convarium.planning.plan import Node
from convarium.store.store import Store


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


class LeaseWatch(Protocol):
    """Knows sooner than a lease's silence tells that its holder is gone."""

    @property
    def has_suspects(self) -> bool:
        """Whether leases are not judged yet whose workers may be gone."""

    def release_dead_leases(self, ready: Iterable[Node]) -> bool:
        """Let others take what is held by workers that are gone; return whether there was any.

        Args:
            ready: the nodes that may be in the hands of workers.
        """


@runtime_checkable
class SchedulerBackend(Backend, Protocol):
    """A backend whose jobs wait in a scheduler's queue, and outlive the controller."""

    def watch_leases(self, store: Store) -> LeaseWatch:
        """Return what finds the leases of the run's jobs that are gone."""
