"""Makes a tracker say what the store says: what is missing is added, what is half written is finished."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from convarium.comparison.collect import collect_store_results
from convarium.errors import UserError
from convarium.store.store import Store
from convarium.tracking import artifact_folders, run_content, schema_version, tracked_runs
from convarium.tracking.file_placement import FilePlacement
from convarium.tracking.run_group import RunGroup, read_stored_groups
from convarium.tracking.run_writer import ReportProgress, RunCounts, RunWriter, WantedRuns
from convarium.tracking.tracked_runs import RunIndex
from convarium.tracking.tracker import Tracker
from convarium.tracking.tracker_address import mask_passwords, remove_password
from convarium.tracking.tracker_connection import TrackerUnreachable, check_tracker_reachable, is_server_address
from convarium.tracking.tracker_lock import hold_tracker_lock

MAX_ERROR_CHARS = 300


def ignore_progress(done: int, total: int) -> None:
    """Say nothing."""


@dataclass
class TrackerSync:
    """One store and one tracker.

    Attributes:
        group: only its networks, and it becomes their parent; None: all of the store.
        only_networks: only these networks; None: all of the store.
    """

    store: Store
    uri: str
    experiment: str
    group: RunGroup | None = None
    only_networks: frozenset[str] | None = None

    def run(self, report_progress: ReportProgress = ignore_progress, with_reports: bool = True) -> RunCounts:
        """Write what the tracker lacks; `report_progress` hears how many of how many entries are looked after.

        Where it lacks nothing MLflow is not even imported. `with_reports`: of groups, too.

        Raises:
            NotReached: the tracker does not answer, refuses, or is of another version.
        """
        wanted = self.build_wanted_runs()
        check_tracker_reachable(self.uri)
        try:
            if not is_server_address(self.uri):
                schema_version.check_schema_version(self.uri)
                if not wanted.lacks_anything(self.read_index(), with_reports):
                    return RunCounts(same=len(wanted.entries))
            return self._write_missing(wanted, report_progress, with_reports)
        except UserError:
            raise
        except Exception as error:
            raise TrackerUnreachable(self._format_error(error)) from None

    def prepare(self) -> None:
        """Create the tracker's database and experiment where they are missing."""
        check_tracker_reachable(self.uri)
        with hold_tracker_lock(self.uri, self.store.root):
            if not is_server_address(self.uri):
                schema_version.check_schema_version(self.uri)
            _ = self.tracker

    def build_wanted_runs(self) -> WantedRuns:
        """Return what the tracker is to say."""
        found = run_content.build_entries(collect_store_results(self.store).results, self.store)
        only = self.group.network_signatures if self.group else self.only_networks
        entries = [entry for entry in found if only is None or entry.signature in only]
        groups = (
            [self.group] if self.group else [] if self.only_networks is not None else read_stored_groups(self.store)
        )
        return WantedRuns(entries, groups, self.placement, self.group)

    def count_finished(self) -> int:
        """Return how many results the store has, at little cost."""
        return len(self.store.select_finished(signature for signature, _ in self.store.list_folders()))

    def read_index(self) -> RunIndex:
        """Return the runs that the tracker has."""
        return (
            self.tracker.read_index()
            if is_server_address(self.uri)
            else tracked_runs.read_runs_from_database(self.uri, self.experiment)
        )

    @cached_property
    def placement(self) -> FilePlacement:
        """Where files of runs belong."""
        return FilePlacement(self.store, self.uri, self.experiment, lambda run: self.tracker.list_files(run))

    @cached_property
    def tracker(self) -> Tracker:
        """The tracker; opening it imports MLflow, and may create its database."""
        return Tracker(self.uri, self.experiment, self.placement.home_address)

    @property
    def artifacts_root(self) -> Path:
        """The folder of all experiments' files."""
        return artifact_folders.get_artifacts_root(self.uri, self.store.root)

    def _write_missing(self, wanted: WantedRuns, report_progress: ReportProgress, with_reports: bool) -> RunCounts:
        with hold_tracker_lock(self.uri, self.store.root):
            index = self.read_index()
            if not wanted.lacks_anything(index, with_reports):
                return RunCounts(same=len(wanted.entries))
            writing = RunWriter(self.tracker, self.store, wanted, index)
            counts = writing.write_entries(report_progress)
            if with_reports:
                writing.write_reports()
            return counts

    def _format_error(self, error: Exception) -> str:
        text = remove_password(f"{type(error).__name__}: {' '.join(str(error).split())}", self.uri)
        return f"tracker {mask_passwords(self.uri)}: {text[:MAX_ERROR_CHARS]}"
