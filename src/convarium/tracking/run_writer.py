"""One pass of the one process that may write to a tracker."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from time import time

from convarium.comparison.report import row_details
from convarium.store.store import Store
from convarium.tracking import artifacts, run_content
from convarium.tracking.file_placement import FilePlacement, TrackedSubject
from convarium.tracking.run_content import NetworkEntry, RunContent
from convarium.tracking.run_group import RunGroup, assign_parent_groups
from convarium.tracking.tracked_runs import GROUP_TAG, PARENT_TAG, SIGNATURE_TAG, RunIndex, TrackedRun
from convarium.tracking.tracker import Tracker

ReportProgress = Callable[[int, int], None]


@dataclass
class RunCounts:
    """Runs that were missing, that were not as they should be, that were, and that the user had deleted."""

    added: int = 0
    mended: int = 0
    same: int = 0
    deleted: int = 0


@dataclass(frozen=True)
class WantedRuns:
    """What a tracker is to say: entries, and groups with the state of their reports."""

    entries: Sequence[NetworkEntry]
    groups: Sequence[RunGroup]
    placement: FilePlacement
    group: RunGroup | None = None

    @cached_property
    def parent_groups(self) -> Mapping[str, RunGroup]:
        """The group whose parent a new run gets."""
        return assign_parent_groups([self.group] if self.group else self.groups)

    def lacks_anything(self, index: RunIndex, with_reports: bool) -> bool:
        """Whether a tracker with these runs lacks anything."""
        if any(not self.is_run_current(entry, index.networks.get(entry.signature), index) for entry in self.entries):
            return True
        known = ((group, index.groups.get(group.key)) for group in self.groups)
        return with_reports and any(run and not self.is_report_current(group, run, index) for group, run in known)

    def is_run_current(self, entry: NetworkEntry, tracked: TrackedRun | None, index: RunIndex) -> bool:
        """Whether a run is as it should be: whole, of its name, and a child of the group that was asked for."""
        if tracked is None or tracked.is_deleted:
            return tracked is not None
        parent = index.groups.get(self.group.key) if self.group else None
        at_home = self.group is None or (
            parent is not None and (parent.is_deleted or parent.run_id == tracked.parent_id)
        )
        is_so = tracked.state == entry.state and tracked.name == entry.name and at_home
        return is_so and self.placement.has_files_in_place(tracked, entry, index)

    def is_report_current(self, group: RunGroup, tracked: TrackedRun, index: RunIndex) -> bool:
        """Whether a parent is as it should be."""
        if tracked.is_deleted:
            return True
        named = group.sweep is None or tracked.name == group.name
        return (
            named
            and tracked.state == group.compute_state(self.entries)
            and self.placement.has_files_in_place(tracked, group, index)
        )

    def iterate_tracked_runs(self, index: RunIndex) -> Iterator[tuple[TrackedRun, TrackedSubject]]:
        """Yield the runs that a tracker has of what is wanted, and what they are of."""
        for entry in self.entries:
            if entry.signature in index.networks:
                yield index.networks[entry.signature], entry
        for group in self.groups:
            if group.key in index.groups:
                yield index.groups[group.key], group


class RunWriter:
    """Brings what is wanted into a tracker that has the runs of an index."""

    def __init__(self, tracker: Tracker, store: Store, wanted: WantedRuns, index: RunIndex) -> None:
        self._tracker, self._store, self._wanted, self._index = tracker, store, wanted, index
        self._counts = RunCounts()

    def write_entries(self, report_progress: ReportProgress) -> RunCounts:
        """Write the entries that are not there as they should be."""
        self._wanted.placement.update_addresses(self._wanted.iterate_tracked_runs(self._index), self._index)
        total = len(self._wanted.entries)
        report_progress(0, total)
        for number, entry in enumerate(self._wanted.entries, 1):
            self._write_entry(entry, self._index.networks.get(entry.signature))
            report_progress(number, total)
        return self._counts

    def write_reports(self) -> None:
        """Write the comparison of each group that has a parent, where it is not there as it should be."""
        for group in self._wanted.groups:
            known = self._index.groups.get(group.key)
            if known is not None and not self._wanted.is_report_current(group, known, self._index):
                if group.sweep and known.name != group.name:
                    self._tracker.rename_run(known.run_id, group.name)
                self._tracker.place_files(known.run_id, {}, group.build_report_files(self._store))
                self._tracker.finish_run(known.run_id, group.compute_state(self._wanted.entries), _get_now_ms())

    def _write_entry(self, entry: NetworkEntry, tracked: TrackedRun | None) -> None:
        if tracked is not None and self._wanted.is_run_current(entry, tracked, self._index):
            self._counts.deleted += tracked.is_deleted
            self._counts.same += not tracked.is_deleted
            return
        home = self._wanted.parent_groups.get(entry.signature) if tracked is None or self._wanted.group else None
        parent = self._find_or_create_parent(home) if home else None
        if tracked is None:
            self._add_run(entry, parent)
        else:
            self._update_run(entry, tracked, parent)

    def _add_run(self, entry: NetworkEntry, parent_id: str | None) -> None:
        content = run_content.build_content(entry, self._store, self._planned_overrides)
        tags = {SIGNATURE_TAG: entry.signature, **content.tags, **({PARENT_TAG: parent_id} if parent_id else {})}
        run = self._tracker.create_run(tags, entry.name, content.started_ms)
        self._place_files(run, entry, content)
        self._tracker.write_run(run, content, entry.state, is_new=True)
        self._counts.added += 1

    def _place_files(self, run_id: str, entry: NetworkEntry, content: RunContent) -> None:
        links = artifacts.find_store_files(entry, self._store)
        self._tracker.place_files(run_id, links, artifacts.build_run_files(content, links))

    def _update_run(self, entry: NetworkEntry, tracked: TrackedRun, parent_id: str | None) -> None:
        if tracked.name != entry.name:
            self._tracker.rename_run(tracked.run_id, entry.name)
        if parent_id and tracked.parent_id != parent_id:
            self._tracker.set_tag(tracked.run_id, PARENT_TAG, parent_id)
        place = self._wanted.placement.get_due_address(tracked, entry, self._index)
        if tracked.state != entry.state or not self._wanted.placement.has_all_files(tracked, place, entry):
            content = run_content.build_content(entry, self._store, self._planned_overrides)
            self._place_files(tracked.run_id, entry, content)
            if tracked.state != entry.state:
                self._tracker.write_run(tracked.run_id, content, entry.state, is_new=False)
        self._counts.mended += 1

    def _find_or_create_parent(self, group: RunGroup) -> str | None:
        """Return the parent run of a group, created where it is missing; None where the user has deleted it."""
        known = self._index.groups.get(group.key)
        if known is None:
            tags = {"convarium.kind": "sweep", GROUP_TAG: group.key, "convarium.sweep": group.sweep or "none"}
            known = TrackedRun(self._tracker.create_run(tags, group.name, _get_now_ms()), "", group.name, None, None)
            self._index.groups[group.key] = known
        return None if known.is_deleted else known.run_id

    @cached_property
    def _planned_overrides(self) -> Mapping[str, Sequence[str]]:
        return row_details.read_planned_overrides(self._store)


def _get_now_ms() -> int:
    return int(1000 * time())
