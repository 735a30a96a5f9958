"""Where the files of runs belong, and whether all of them are there."""

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
        list_server_files: returns the names of the files and folders that a server has of a run, from the run's id.
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
        artifacts_root = artifact_folders.get_artifacts_root(self.uri, self.store.root)
        return artifact_folders.get_experiment_address(artifacts_root, self.experiment)

    def get_due_address(self, run: TrackedRun, subject: TrackedSubject, index: RunIndex) -> str:
        """Return the address at which a run's files belong."""
        home_address = self._find_changeable_address(index)
        if home_address is None:
            return run.artifact_address
        # A PostgreSQL database may be shared by stores in different places: what another store has placed stays there.
        if get_address_scheme(self.uri) != "sqlite":
            folder = artifact_folders.find_local_folder(run.artifact_address)
            if folder is not None and artifacts.has_all_files(folder, *self._list_expected_files(subject)):
                return run.artifact_address
        return f"{home_address}/{run.run_id}/artifacts"

    def has_files_in_place(self, run: TrackedRun, subject: TrackedSubject, index: RunIndex) -> bool:
        """Whether a tracker has the right address of a run's files, and all of them are there."""
        due_address = self.get_due_address(run, subject, index)
        return due_address == run.artifact_address and self.has_all_files(run, due_address, subject)

    def has_all_files(self, run: TrackedRun, address: str, subject: TrackedSubject) -> bool:
        """Whether all files of a run are at an address.

        An address that is not a local folder is looked at only through a server; a database's is taken to be complete.
        """
        links, texts = self._list_expected_files(subject)
        folder = artifact_folders.find_local_folder(address)
        if folder is not None:
            return artifacts.has_all_files(folder, links, texts)
        if self.home_address is not None:
            return True
        # A server lists one level of folders a request: of `logs/…` it is asked for `logs` alone.
        top_level_names = {name.partition("/")[0] for name in (*links, *texts)}
        return top_level_names <= self.list_server_files(run.run_id)

    def update_addresses(self, runs: Iterable[tuple[TrackedRun, TrackedSubject]], index: RunIndex) -> None:
        """Correct a database's addresses of files: those of `runs`, and the experiment's, where new runs put theirs."""
        home_address = self._find_changeable_address(index)
        if home_address is None:
            return
        new_addresses: dict[str, str] = {}
        for run, subject in runs:
            due_address = self.get_due_address(run, subject, index)
            if due_address != run.artifact_address:
                new_addresses[run.run_id] = due_address
        if new_addresses or index.artifact_address not in (None, home_address):
            artifact_folders.write_artifact_addresses(self.uri, self.experiment, home_address, new_addresses)

    def _find_changeable_address(self, index: RunIndex) -> str | None:
        """Return `home_address`; None also where the user chose the experiment's folder, which then stays."""
        is_movable = artifact_folders.is_movable_address(index.artifact_address, self.experiment)
        return self.home_address if is_movable else None

    def _list_expected_files(self, subject: TrackedSubject) -> tuple[Mapping[str, Path], tuple[str, ...]]:
        if isinstance(subject, RunGroup):
            return {}, GROUP_FILES
        return artifacts.find_store_files(subject, self.store), (artifacts.RECORD_FILE,)
