"""Whether the files of runs are where they belong, all of them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from convarium.store.store import Store
from convarium.tracking import artifacts, folders
from convarium.tracking.address import kind
from convarium.tracking.group import FILES, Group
from convarium.tracking.known import Index, Known
from convarium.tracking.reach import is_server
from convarium.tracking.view import Entry

Subject = Entry | Group


@dataclass(frozen=True)
class Placement:
    """Where the files of an experiment's runs belong in a tracker.

    Attributes:
        listed: the names of a run's files that a server has, by the run's id.
    """

    store: Store
    uri: str
    experiment: str
    listed: Callable[[str], set[str]]

    @cached_property
    def home(self) -> str | None:
        """The address of the experiment's folder; None where a server decides."""
        if is_server(self.uri):
            return None
        return folders.address(folders.root(self.uri, self.store.root), self.experiment)

    def due(self, run: Known, subject: Subject, index: Index) -> str:
        """Return the address at which a run's files belong.

        In a file's folder they move with it. In a database of many stores those that another store put elsewhere, and
        that are there, stay.
        """
        if self.home is None or not folders.follows(index.files, self.experiment):
            return run.files
        elsewhere = None if kind(self.uri) == "sqlite" else folders.path(run.files)
        if elsewhere and artifacts.is_whole(elsewhere, *self._expected(subject)):
            return run.files
        return f"{self.home}/{run.run}/artifacts"

    def is_right(self, run: Known, subject: Subject, index: Index) -> bool:
        """Whether they are there, all of them."""
        return self.due(run, subject, index) == run.files and self.is_whole(run, run.files, subject)

    def is_whole(self, run: Known, address: str, subject: Subject) -> bool:
        """Whether all files of a run are at an address; only a server is asked what it has on another host."""
        links, texts = self._expected(subject)
        if (folder := folders.path(address)) is not None:
            return artifacts.is_whole(folder, links, texts)
        return self.home is not None or {name.partition("/")[0] for name in (*links, *texts)} <= self.listed(run.run)

    def follow(self, runs: Iterable[tuple[Known, Subject]], index: Index) -> None:
        """Write into a database where files belong, new ones too, if it says another place."""
        if self.home is None or not folders.follows(index.files, self.experiment):
            return
        due = {run.run: place for run, subject in runs if (place := self.due(run, subject, index)) != run.files}
        if due or index.files not in (None, self.home):
            folders.move(self.uri, self.experiment, self.home, due)

    def _expected(self, subject: Subject) -> tuple[Mapping[str, Path], tuple[str, ...]]:
        if isinstance(subject, Group):
            return {}, FILES
        return artifacts.linked(subject, self.store), (artifacts.RECORD,)
