"""Which runs a tracker should have, and the writer that adds and corrects them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from convarium.comparison.report import row_details
from convarium.store.store import Store
from convarium.tracking import artifacts, run_content
from convarium.tracking.file_placement import FilePlacement, TrackedSubject
from convarium.tracking.run_content import NetworkEntry, RunContent
from convarium.tracking.run_group import RunGroup, assign_parent_groups
from convarium.tracking.tracked_runs import PARENT_TAG, SIGNATURE_TAG, RunIndex, TrackedRun
from convarium.tracking.tracker import Tracker

ReportProgress = Callable[[int, int], None]


@dataclass
class RunCounts:
    """Numbers of networks' runs by what a sync met.

    Attributes:
        added: runs that were missing.
        mended: runs that were incomplete, out of date or misplaced.
        same: runs that were right.
        deleted: runs that the user has deleted in the tracker.
    """

    added: int = 0
    mended: int = 0
    same: int = 0
    deleted: int = 0


@dataclass(frozen=True)
class WantedRuns:
    """The runs that a tracker should have.

    Attributes:
        entries: a run for each of these networks.
        groups: a parent run for each of these, as soon as one of its networks needs it.
        placement: where the files of the runs belong.
        group: the group whose parent all networks should have; None where every parent is right.
    """

    entries: Sequence[NetworkEntry]
    groups: Sequence[RunGroup]
    placement: FilePlacement
    group: RunGroup | None = None

    @cached_property
    def parent_groups(self) -> Mapping[str, RunGroup]:
        """For each network, the group whose parent run a new run of it gets."""
        return assign_parent_groups([self.group] if self.group else self.groups)

    def lacks_anything(self, index: RunIndex, with_reports: bool) -> bool:
        """Whether a tracker with the runs of `index` lacks a run, or has one that is not current."""
        for entry in self.entries:
            if not self.is_run_current(entry, index.networks.get(entry.signature), index):
                return True
        if not with_reports:
            return False
        for group in self.groups:
            parent = index.groups.get(group.key)
            if parent is not None and not self.is_report_current(group, parent, index):
                return True
        return False

    def is_run_current(self, entry: NetworkEntry, tracked: TrackedRun | None, index: RunIndex) -> bool:
        """Whether a network's run is complete, and has its name, its parent and its files; a deleted run stays so."""
        if tracked is None:
            return False
        if tracked.is_deleted:
            return True
        return (
            tracked.state == entry.state
            and tracked.name == entry.name
            and self._has_wanted_parent(tracked, index)
            and self.placement.has_files_in_place(tracked, entry, index)
        )

    def is_report_current(self, group: RunGroup, tracked: TrackedRun, index: RunIndex) -> bool:
        """Whether a parent run has its name and the latest report; a deleted run stays so."""
        if tracked.is_deleted:
            return True
        has_name = group.sweep is None or tracked.name == group.name
        return (
            has_name
            and tracked.state == group.compute_state(self.entries)
            and self.placement.has_files_in_place(tracked, group, index)
        )

    def iterate_tracked_runs(self, index: RunIndex) -> Iterator[tuple[TrackedRun, TrackedSubject]]:
        """Yield the wanted runs that a tracker has, each with its network or group."""
        for entry in self.entries:
            if entry.signature in index.networks:
                yield index.networks[entry.signature], entry
        for group in self.groups:
            if group.key in index.groups:
                yield index.groups[group.key], group

    def _has_wanted_parent(self, tracked: TrackedRun, index: RunIndex) -> bool:
        if self.group is None:
            return True
        parent = index.groups.get(self.group.key)
        if parent is None:
            return False
        return parent.is_deleted or parent.run_id == tracked.parent_id


class RunWriter:
    """Adds the wanted runs that a tracker lacks, and corrects those that are not current.

    Only one process at a time may write: the runs that the tracker has are those of `index`.
    """

    def __init__(self, tracker: Tracker, store: Store, wanted: WantedRuns, index: RunIndex) -> None:
        self._tracker = tracker
        self._store = store
        self._wanted = wanted
        self._index = index
        self._counts = RunCounts()

    def write_entries(self, report_progress: ReportProgress) -> RunCounts:
        """Write the runs of networks that are missing or not current."""
        self._wanted.placement.update_addresses(self._wanted.iterate_tracked_runs(self._index), self._index)
        total = len(self._wanted.entries)
        report_progress(0, total)
        for number, entry in enumerate(self._wanted.entries, 1):
            self._write_entry(entry, self._index.networks.get(entry.signature))
            report_progress(number, total)
        return self._counts

    def write_reports(self) -> None:
        """Write the comparison of each group whose parent run is not current."""
        for group in self._wanted.groups:
            parent = self._index.groups.get(group.key)
            if parent is not None and not self._wanted.is_report_current(group, parent, self._index):
                self._write_report(group, parent)

    def _write_report(self, group: RunGroup, parent: TrackedRun) -> None:
        new_tags = group.build_tags()
        # Plans do not store their sweep: a group without one can't tell that the name should be another.
        if group.sweep and parent.name != group.name:
            self._tracker.rename_run(parent.run_id, group.name)
        else:
            # What the run has stays: a description may be the user's own, or that of the sweep.
            current_tags = self._tracker.read_tags(parent.run_id)
            new_tags = {key: value for key, value in new_tags.items() if key not in current_tags}
        self._tracker.place_files(parent.run_id, {}, group.build_report_files(self._store))
        state = group.compute_state(self._wanted.entries)
        self._tracker.finish_run(parent.run_id, new_tags, state, group.find_time_span(self._store))

    def _write_entry(self, entry: NetworkEntry, tracked: TrackedRun | None) -> None:
        if tracked is None:
            self._add_run(entry, self._find_or_create_parent(entry))
            self._counts.added += 1
        elif not self._wanted.is_run_current(entry, tracked, self._index):
            # A sync of the whole store leaves a run below the parent that it has.
            parent_id = self._find_or_create_parent(entry) if self._wanted.group else None
            self._update_run(entry, tracked, parent_id)
            self._counts.mended += 1
        elif tracked.is_deleted:
            self._counts.deleted += 1
        else:
            self._counts.same += 1

    def _add_run(self, entry: NetworkEntry, parent_id: str | None) -> None:
        content = run_content.build_content(entry, self._store, self._planned_overrides)
        tags = {SIGNATURE_TAG: entry.signature, **content.tags}
        if parent_id:
            tags[PARENT_TAG] = parent_id
        run_id = self._tracker.create_run(tags, entry.name, content.started_ms)
        self._place_files(run_id, entry, content)
        self._tracker.write_run(run_id, content, entry.state, is_new=True)

    def _update_run(self, entry: NetworkEntry, tracked: TrackedRun, parent_id: str | None) -> None:
        if tracked.name != entry.name:
            self._tracker.rename_run(tracked.run_id, entry.name)
        if parent_id and tracked.parent_id != parent_id:
            self._tracker.set_tag(tracked.run_id, PARENT_TAG, parent_id)
        has_state = tracked.state == entry.state
        address = self._wanted.placement.get_due_address(tracked, entry, self._index)
        if has_state and self._wanted.placement.has_all_files(tracked, address, entry):
            return
        content = run_content.build_content(entry, self._store, self._planned_overrides)
        self._place_files(tracked.run_id, entry, content)
        if not has_state:
            self._tracker.write_run(tracked.run_id, content, entry.state, is_new=False)

    def _place_files(self, run_id: str, entry: NetworkEntry, content: RunContent) -> None:
        links = artifacts.find_store_files(entry, self._store)
        self._tracker.place_files(run_id, links, artifacts.build_run_files(content, links))

    def _find_or_create_parent(self, entry: NetworkEntry) -> str | None:
        """Return the id of the parent run of a network's group; None without a group, or where the user deleted it."""
        group = self._wanted.parent_groups.get(entry.signature)
        if group is None:
            return None
        parent = self._index.groups.get(group.key)
        if parent is None:
            time_span = group.find_time_span(self._store)
            started_ms = time_span[0] if time_span else None
            run_id = self._tracker.create_run(group.build_tags(), group.name, started_ms)
            parent = TrackedRun(run_id, artifact_address="", name=group.name, state=None, parent_id=None)
            self._index.groups[group.key] = parent
        return None if parent.is_deleted else parent.run_id

    @cached_property
    def _planned_overrides(self) -> Mapping[str, Sequence[str]]:
        return row_details.read_planned_overrides(self._store)
