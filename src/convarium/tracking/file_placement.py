"""Whether the files of runs are where they belong, all of them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from convarium.store.store import Store
from convarium.tracking import artifact_folders, artifacts
from convarium.tracking.run_content import NetworkEntry
from convarium.tracking.run_group import GROUP_FILES, RunGroup
from convarium.tracking.tracked_runs import RunIndex, TrackedRun
from convarium.tracking.tracker_address import get_address_scheme
from convarium.tracking.tracker_connection import is_server_address

TrackedSubject = NetworkEntry | RunGroup


@dataclass(frozen=True)
class FilePlacement:
    """Where the files of an experiment's runs belong in a tracker.

    Attributes:
        list_server_files: the names of a run's files that a server has, by the run's id.
    """

    store: Store
    uri: str
    experiment: str
    list_server_files: Callable[[str], set[str]]

    @cached_property
    def home_address(self) -> str | None:
        """The address of the experiment's folder; None where a server decides."""
        if is_server_address(self.uri):
            return None
        return artifact_folders.get_experiment_address(
            artifact_folders.get_artifacts_root(self.uri, self.store.root), self.experiment
        )

    def get_due_address(self, run: TrackedRun, subject: TrackedSubject, index: RunIndex) -> str:
        """Return the address at which a run's files belong.

        In a file's folder they move with it. In a database of many stores those that another store put elsewhere, and
        that are there, stay.
        """
        if self.home_address is None or not artifact_folders.is_movable_address(
            index.artifact_address, self.experiment
        ):
            return run.artifact_address
        elsewhere = (
            None
            if get_address_scheme(self.uri) == "sqlite"
            else artifact_folders.find_local_folder(run.artifact_address)
        )
        if elsewhere and artifacts.has_all_files(elsewhere, *self._list_expected_files(subject)):
            return run.artifact_address
        return f"{self.home_address}/{run.run_id}/artifacts"

    def has_files_in_place(self, run: TrackedRun, subject: TrackedSubject, index: RunIndex) -> bool:
        """Whether they are there, all of them."""
        return self.get_due_address(run, subject, index) == run.artifact_address and self.has_all_files(
            run, run.artifact_address, subject
        )

    def has_all_files(self, run: TrackedRun, address: str, subject: TrackedSubject) -> bool:
        """Whether all files of a run are at an address; only a server is asked what it has on another host."""
        links, texts = self._list_expected_files(subject)
        if (folder := artifact_folders.find_local_folder(address)) is not None:
            return artifacts.has_all_files(folder, links, texts)
        return self.home_address is not None or {
            name.partition("/")[0] for name in (*links, *texts)
        } <= self.list_server_files(run.run_id)

    def update_addresses(self, runs: Iterable[tuple[TrackedRun, TrackedSubject]], index: RunIndex) -> None:
        """Write into a database where files belong, new ones too, if it says another place."""
        if self.home_address is None or not artifact_folders.is_movable_address(
            index.artifact_address, self.experiment
        ):
            return
        due = {
            run.run_id: place
            for run, subject in runs
            if (place := self.get_due_address(run, subject, index)) != run.artifact_address
        }
        if due or index.artifact_address not in (None, self.home_address):
            artifact_folders.write_artifact_addresses(self.uri, self.experiment, self.home_address, due)

    def _list_expected_files(self, subject: TrackedSubject) -> tuple[Mapping[str, Path], tuple[str, ...]]:
        if isinstance(subject, RunGroup):
            return {}, GROUP_FILES
        return artifacts.find_store_files(subject, self.store), (artifacts.RECORD_FILE,)
