"""One pass of the one process that may write to a tracker."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from time import time

from convarium.comparison.report import evidence
from convarium.store.store import Store
from convarium.tracking import artifacts, view
from convarium.tracking.group import Group, homes
from convarium.tracking.known import GROUP, PARENT, SIGNATURE, Index, Known
from convarium.tracking.placement import Placement, Subject
from convarium.tracking.tracker import Tracker
from convarium.tracking.view import Content, Entry

Tell = Callable[[int, int], None]


@dataclass
class Counts:
    """Runs that were missing, that were not as they should be, that were, and that the user had deleted."""

    added: int = 0
    mended: int = 0
    same: int = 0
    deleted: int = 0


@dataclass(frozen=True)
class Wanted:
    """What a tracker is to say: entries, and groups with the state of their reports."""

    entries: Sequence[Entry]
    groups: Sequence[Group]
    placement: Placement
    group: Group | None = None

    @cached_property
    def homes(self) -> Mapping[str, Group]:
        """The group whose parent a new run gets."""
        return homes([self.group] if self.group else self.groups)

    def missing(self, index: Index, reports: bool) -> bool:
        """Whether a tracker with these runs lacks anything."""
        if any(not self.is_told(entry, index.networks.get(entry.signature), index) for entry in self.entries):
            return True
        known = ((group, index.groups.get(group.key)) for group in self.groups)
        return reports and any(run and not self.is_reported(group, run, index) for group, run in known)

    def is_told(self, entry: Entry, known: Known | None, index: Index) -> bool:
        """Whether a run is as it should be: whole, of its name, and a child of the group that was asked for."""
        if known is None or known.is_deleted:
            return known is not None
        parent = index.groups.get(self.group.key) if self.group else None
        at_home = self.group is None or (parent is not None and (parent.is_deleted or parent.run == known.parent))
        is_so = known.state == entry.state and known.name == entry.name and at_home
        return is_so and self.placement.is_right(known, entry, index)

    def is_reported(self, group: Group, known: Known, index: Index) -> bool:
        """Whether a parent is as it should be."""
        if known.is_deleted:
            return True
        named = group.sweep is None or known.name == group.name
        return named and known.state == group.state(self.entries) and self.placement.is_right(known, group, index)

    def known(self, index: Index) -> Iterator[tuple[Known, Subject]]:
        """Yield the runs that a tracker has of what is wanted, and what they are of."""
        for entry in self.entries:
            if entry.signature in index.networks:
                yield index.networks[entry.signature], entry
        for group in self.groups:
            if group.key in index.groups:
                yield index.groups[group.key], group


class Writing:
    """Brings what is wanted into a tracker that has the runs of an index."""

    def __init__(self, tracker: Tracker, store: Store, wanted: Wanted, index: Index) -> None:
        self._tracker, self._store, self._wanted, self._index = tracker, store, wanted, index
        self._counts = Counts()

    def entries(self, tell: Tell) -> Counts:
        """Write the entries that are not there as they should be."""
        self._wanted.placement.follow(self._wanted.known(self._index), self._index)
        total = len(self._wanted.entries)
        tell(0, total)
        for number, entry in enumerate(self._wanted.entries, 1):
            self._entry(entry, self._index.networks.get(entry.signature))
            tell(number, total)
        return self._counts

    def reports(self) -> None:
        """Write the comparison of each group that has a parent, where it is not there as it should be."""
        for group in self._wanted.groups:
            known = self._index.groups.get(group.key)
            if known is not None and not self._wanted.is_reported(group, known, self._index):
                if group.sweep and known.name != group.name:
                    self._tracker.rename(known.run, group.name)
                self._tracker.place(known.run, {}, group.files(self._store))
                self._tracker.finish(known.run, group.state(self._wanted.entries), _now())

    def _entry(self, entry: Entry, known: Known | None) -> None:
        if known is not None and self._wanted.is_told(entry, known, self._index):
            self._counts.deleted += known.is_deleted
            self._counts.same += not known.is_deleted
            return
        home = self._wanted.homes.get(entry.signature) if known is None or self._wanted.group else None
        parent = self._parent(home) if home else None
        if known is None:
            self._add(entry, parent)
        else:
            self._mend(entry, known, parent)

    def _add(self, entry: Entry, parent: str | None) -> None:
        content = view.content(entry, self._store, self._plans)
        tags = {SIGNATURE: entry.signature, **content.tags, **({PARENT: parent} if parent else {})}
        run = self._tracker.begin(tags, entry.name, content.started)
        self._place(run, entry, content)
        self._tracker.tell(run, content, entry.state, is_new=True)
        self._counts.added += 1

    def _place(self, run: str, entry: Entry, content: Content) -> None:
        links = artifacts.linked(entry, self._store)
        self._tracker.place(run, links, artifacts.made(content, links))

    def _mend(self, entry: Entry, known: Known, parent: str | None) -> None:
        if known.name != entry.name:
            self._tracker.rename(known.run, entry.name)
        if parent and known.parent != parent:
            self._tracker.tag(known.run, PARENT, parent)
        place = self._wanted.placement.due(known, entry, self._index)
        if known.state != entry.state or not self._wanted.placement.is_whole(known, place, entry):
            content = view.content(entry, self._store, self._plans)
            self._place(known.run, entry, content)
            if known.state != entry.state:
                self._tracker.tell(known.run, content, entry.state, is_new=False)
        self._counts.mended += 1

    def _parent(self, group: Group) -> str | None:
        """Return the parent run of a group, created where it is missing; None where the user has deleted it."""
        known = self._index.groups.get(group.key)
        if known is None:
            tags = {"convarium.kind": "sweep", GROUP: group.key, "convarium.sweep": group.sweep or "none"}
            known = Known(self._tracker.begin(tags, group.name, _now()), "", group.name, None, None)
            self._index.groups[group.key] = known
        return None if known.is_deleted else known.run

    @cached_property
    def _plans(self) -> Mapping[str, Sequence[str]]:
        return evidence.asked(self._store)


def _now() -> int:
    return int(1000 * time())
