"""Makes a tracker say what the store says: what is missing is added, what is half written is finished."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from convarium.comparison.collect import collect_all
from convarium.errors import UserError
from convarium.store.store import Store
from convarium.tracking import folders, known, schema, view
from convarium.tracking.address import hidden, masked
from convarium.tracking.group import Group, stored
from convarium.tracking.known import Index
from convarium.tracking.lock import alone
from convarium.tracking.placement import Placement
from convarium.tracking.reach import NotReached, is_server, reach
from convarium.tracking.tracker import Tracker
from convarium.tracking.writing import Counts, Tell, Wanted, Writing

LONGEST_LINE = 300


def silent(done: int, total: int) -> None:
    """Say nothing."""


@dataclass
class Sync:
    """One store and one tracker.

    Attributes:
        group: only its networks, and it becomes their parent; None: all of the store.
        only: only these networks; None: all of the store.
    """

    store: Store
    uri: str
    experiment: str
    group: Group | None = None
    only: frozenset[str] | None = None

    def run(self, tell: Tell = silent, reports: bool = True) -> Counts:
        """Write what the tracker lacks; `tell` hears how many of how many entries are looked after.

        Where it lacks nothing MLflow is not even imported. `reports`: of groups, too.

        Raises:
            NotReached: the tracker does not answer, refuses, or is of another version.
        """
        wanted = self.wanted()
        reach(self.uri)
        try:
            if not is_server(self.uri):
                schema.check(self.uri)
                if not wanted.missing(self.index(), reports):
                    return Counts(same=len(wanted.entries))
            return self._write(wanted, tell, reports)
        except UserError:
            raise
        except Exception as error:
            raise NotReached(self._line(error)) from None

    def prepare(self) -> None:
        """Create the tracker's database and experiment where they are missing."""
        reach(self.uri)
        with alone(self.uri, self.store.root):
            if not is_server(self.uri):
                schema.check(self.uri)
            _ = self.tracker

    def wanted(self) -> Wanted:
        """Return what the tracker is to say."""
        found = view.entries(collect_all(self.store).results, self.store)
        only = self.group.networks if self.group else self.only
        entries = [entry for entry in found if only is None or entry.signature in only]
        groups = [self.group] if self.group else [] if self.only is not None else stored(self.store)
        return Wanted(entries, groups, self.placement, self.group)

    def finished(self) -> int:
        """Return how many results the store has, at little cost."""
        return len(self.store.finished(signature for signature, _ in self.store.folders()))

    def index(self) -> Index:
        """Return the runs that the tracker has."""
        return self.tracker.index() if is_server(self.uri) else known.in_database(self.uri, self.experiment)

    @cached_property
    def placement(self) -> Placement:
        """Where files of runs belong."""
        return Placement(self.store, self.uri, self.experiment, lambda run: self.tracker.names(run))

    @cached_property
    def tracker(self) -> Tracker:
        """The tracker; opening it imports MLflow, and may create its database."""
        return Tracker(self.uri, self.experiment, self.placement.home)

    @property
    def files(self) -> Path:
        """The folder of all experiments' files."""
        return folders.root(self.uri, self.store.root)

    def _write(self, wanted: Wanted, tell: Tell, reports: bool) -> Counts:
        with alone(self.uri, self.store.root):
            index = self.index()
            if not wanted.missing(index, reports):
                return Counts(same=len(wanted.entries))
            writing = Writing(self.tracker, self.store, wanted, index)
            counts = writing.entries(tell)
            if reports:
                writing.reports()
            return counts

    def _line(self, error: Exception) -> str:
        text = hidden(f"{type(error).__name__}: {' '.join(str(error).split())}", self.uri)
        return f"tracker {masked(self.uri)}: {text[:LONGEST_LINE]}"
