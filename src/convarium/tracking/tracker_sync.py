"""Bring a tracker up to date with the store: runs that are missing are added, others are completed or corrected."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from convarium.comparison.collect import collect_store_results
from convarium.errors import UserError
from convarium.planning.plan import Plan
from convarium.store.store import Store
from convarium.tracking import artifact_folders, run_content, schema_version, tracked_runs
from convarium.tracking.file_placement import FilePlacement
from convarium.tracking.run_content import NetworkEntry
from convarium.tracking.run_group import RunGroup, read_stored_groups
from convarium.tracking.run_writer import ReportProgress, RunCounts, RunWriter, WantedRuns
from convarium.tracking.tracked_runs import RunIndex
from convarium.tracking.tracker import Tracker
from convarium.tracking.tracker_address import mask_passwords, remove_password
from convarium.tracking.tracker_connection import TrackerUnreachable, check_tracker_reachable, is_server_address
from convarium.tracking.tracker_lock import hold_tracker_lock

MAX_ERROR_CHARS = 300


def ignore_progress(done: int, total: int) -> None:
    """Print nothing."""


@dataclass
class TrackerSync:
    """A store, a tracker, and which of the store's networks the tracker should have.

    Attributes:
        group: only the networks of this group, below its parent run; None for all of the store.
        only_networks: only the networks of these signatures, without a parent run; None for all of the store.
    """

    store: Store
    uri: str
    experiment: str
    group: RunGroup | None = None
    only_networks: frozenset[str] | None = None

    def run(self, report_progress: ReportProgress = ignore_progress, with_reports: bool = True) -> RunCounts:
        """Write what the tracker lacks.

        Where a database lacks nothing, MLflow is not even imported.

        Args:
            report_progress: is called with the number of networks done and that of all.
            with_reports: whether the reports of groups are written too.

        Raises:
            TrackerUnreachable: the tracker does not answer, refuses, or its schema is another MLflow's.
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
        except Exception as error:  # whatever MLflow, SQLAlchemy or a driver raises ends in one line
            raise TrackerUnreachable(self._format_error(error)) from None

    def prepare(self) -> None:
        """Create the tracker's database and experiment where they are missing."""
        check_tracker_reachable(self.uri)
        with hold_tracker_lock(self.uri, self.store.root):
            if not is_server_address(self.uri):
                schema_version.check_schema_version(self.uri)
            _ = self.tracker

    def build_wanted_runs(self) -> WantedRuns:
        """Return the runs that the tracker should have."""
        # All entries are built first, because a network's name depends on what else is stored.
        entries = run_content.build_entries(collect_store_results(self.store).results, self.store)
        if self.group is not None:
            group_entries = _select_entries(entries, self.group.network_signatures)
            return WantedRuns(group_entries, [self.group], self.placement, self.group)
        if self.only_networks is not None:
            return WantedRuns(_select_entries(entries, self.only_networks), [], self.placement)
        return WantedRuns(entries, read_stored_groups(self.store), self.placement)

    def count_finished(self) -> int:
        """Return how many results the store has, by one scan of its folders."""
        return len(self.store.select_finished(signature for signature, _ in self.store.list_folders()))

    def read_index(self) -> RunIndex:
        """Return the runs that the tracker has."""
        if is_server_address(self.uri):
            return self.tracker.read_index()
        return tracked_runs.read_runs_from_database(self.uri, self.experiment)

    @cached_property
    def placement(self) -> FilePlacement:
        """Where the files of runs belong."""
        # A lambda, so that the tracker is opened only if a server is asked.
        return FilePlacement(self.store, self.uri, self.experiment, lambda run_id: self.tracker.list_files(run_id))

    @cached_property
    def tracker(self) -> Tracker:
        """The tracker; the first access imports MLflow, and creates a database that is missing."""
        return Tracker(self.uri, self.experiment, self.placement.home_address)

    @property
    def artifacts_root(self) -> Path:
        """The folder of all experiments' files."""
        return artifact_folders.get_artifacts_root(self.uri, self.store.root)

    def _write_missing(self, wanted: WantedRuns, report_progress: ReportProgress, with_reports: bool) -> RunCounts:
        with hold_tracker_lock(self.uri, self.store.root):
            index = self.read_index()
            # Another process may have written the same while this one waited for the lock.
            if not wanted.lacks_anything(index, with_reports):
                return RunCounts(same=len(wanted.entries))
            writer = RunWriter(self.tracker, self.store, wanted, index)
            counts = writer.write_entries(report_progress)
            if with_reports:
                writer.write_reports()
            return counts

    def _format_error(self, error: Exception) -> str:
        message = " ".join(str(error).split())
        text = remove_password(f"{type(error).__name__}: {message}", self.uri)
        return f"tracker {mask_passwords(self.uri)}: {text[:MAX_ERROR_CHARS]}"


def build_plan_sync(store: Store, uri: str, experiment: str, plan: Plan, sweep: str | None) -> TrackerSync:
    """Return a sync of a plan's networks alone; `sweep` names the sweep that the plan was made from."""
    group = RunGroup(plan, sweep)
    if group.is_comparable:
        return TrackerSync(store, uri, experiment, group=group)
    # A single point has no parent run, which would only repeat it.
    return TrackerSync(store, uri, experiment, only_networks=group.network_signatures)


def _select_entries(entries: Sequence[NetworkEntry], signatures: frozenset[str]) -> list[NetworkEntry]:
    return [entry for entry in entries if entry.signature in signatures]
