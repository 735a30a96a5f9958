"""Networks that one command asked for: a parent run holds them together, with the report of their comparison."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from convarium.comparison.collect import collect
from convarium.comparison.report.document import report
from convarium.comparison.report.page import page
from convarium.comparison.report.table import table
from convarium.comparison.rows import compare
from convarium.errors import UserError
from convarium.store.plan import Plan
from convarium.store.store import Store
from convarium.tracking.view import VERSION, Entry

FILES = ("report.html", "table.csv")


@dataclass(frozen=True)
class Group:
    """A plan of more than one point, and the sweep it was asked for as, if that is known."""

    plan: Plan
    sweep: str | None = None

    @cached_property
    def key(self) -> str:
        """What identifies the group: its networks."""
        return sha256(" ".join(sorted(self.networks)).encode()).hexdigest()[:12]

    @cached_property
    def networks(self) -> frozenset[str]:
        """Signatures of its points' networks, and of the dense ones they are measured against."""
        return frozenset(signature for point in self.plan.points for signature in (point.network, point.dense))

    @property
    def name(self) -> str:
        """Of the sweep, or of what its points are about."""
        points = self.plan.points
        about = {f"{point.config['architecture']['name']} {point.config['dataset']['name']}": None for point in points}
        return f"{self.sweep or ', '.join(about)} ({len(points)} points)"[:200]

    def state(self, entries: Iterable[Entry]) -> str:
        """Return what changes if and only if the report does."""
        states = sorted(entry.state for entry in entries if entry.signature in self.networks)
        return sha256(" ".join([str(VERSION), self.key, *states]).encode()).hexdigest()[:12]

    def files(self, store: Store) -> dict[str, str]:
        """Return the comparison of its points as page and as table, by file name."""
        found = collect(self.plan, store)
        document: dict[str, Any] = compare(
            found.results, found.missing, references=found.references, refused=found.refused
        )
        command = f"convarium compare sweep={self.sweep}" if self.sweep else "convarium compare"
        return dict(zip(FILES, (page(report(document, found.results, store, command)), table(document)), strict=True))


def stored(store: Store) -> list[Group]:
    """Return a group for each stored plan of more than one point, the largest first."""
    found: dict[str, Group] = {}
    for file in sorted((store.root / "plans").glob("*.json")):
        try:
            group = Group(Plan.read(file))
        except UserError:  # damaged, or of another version: its results are tracked without it
            continue
        if len(group.plan.points) > 1:
            found.setdefault(group.key, group)
    return sorted(found.values(), key=lambda group: (-len(group.networks), group.key))


def homes(groups: Iterable[Group]) -> Mapping[str, Group]:
    """Return, for each network, the first of the groups that holds it."""
    found: dict[str, Group] = {}
    for group in groups:
        for signature in group.networks:
            found.setdefault(signature, group)
    return found
