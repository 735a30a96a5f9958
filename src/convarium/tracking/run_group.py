"""Networks that one command asked for: a parent run holds them together, with the report of their comparison."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from convarium.comparison.collect import collect_plan_results
from convarium.comparison.comparison_document import compare_results
from convarium.comparison.report.csv_table import format_csv_table
from convarium.comparison.report.html_page import build_html_page
from convarium.comparison.report.report_document import build_report
from convarium.errors import UserError
from convarium.planning.plan import Plan
from convarium.planning.plan_file import list_plan_files, read_plan
from convarium.store.store import Store
from convarium.tracking.run_content import STATE_VERSION, NetworkEntry

GROUP_FILES = ("report.html", "table.csv")


@dataclass(frozen=True)
class RunGroup:
    """A plan of more than one point, and the sweep it was asked for as, if that is known."""

    plan: Plan
    sweep: str | None = None

    @cached_property
    def key(self) -> str:
        """What identifies the group: its networks."""
        return sha256(" ".join(sorted(self.network_signatures)).encode()).hexdigest()[:12]

    @cached_property
    def network_signatures(self) -> frozenset[str]:
        """Signatures of its points' networks, and of the dense ones they are measured against."""
        return frozenset(signature for point in self.plan.points for signature in (point.network, point.dense))

    @property
    def name(self) -> str:
        """Of the sweep, or of what its points are about."""
        points = self.plan.points
        about = {f"{point.config['architecture']['name']} {point.config['dataset']['name']}": None for point in points}
        return f"{self.sweep or ', '.join(about)} ({len(points)} points)"[:200]

    def compute_state(self, entries: Iterable[NetworkEntry]) -> str:
        """Return what changes if and only if the report does."""
        states = sorted(entry.state for entry in entries if entry.signature in self.network_signatures)
        return sha256(" ".join([str(STATE_VERSION), self.key, *states]).encode()).hexdigest()[:12]

    def build_report_files(self, store: Store) -> dict[str, str]:
        """Return the comparison of its points as page and as table, by file name."""
        found = collect_plan_results(self.plan, store)
        document: dict[str, Any] = compare_results(
            found.results, found.missing_count, dense_results=found.dense_results, refused=found.refused
        )
        command = f"convarium compare sweep={self.sweep}" if self.sweep else "convarium compare"
        return dict(
            zip(
                GROUP_FILES,
                (build_html_page(build_report(document, found.results, store, command)), format_csv_table(document)),
                strict=True,
            )
        )


def read_stored_groups(store: Store) -> list[RunGroup]:
    """Return a group for each stored plan of more than one point, the largest first."""
    found: dict[str, RunGroup] = {}
    for file in list_plan_files(store.root):
        try:
            group = RunGroup(read_plan(file))
        except UserError:  # damaged, or of another version: its results are tracked without it
            continue
        if len(group.plan.points) > 1:
            found.setdefault(group.key, group)
    return sorted(found.values(), key=lambda group: (-len(group.network_signatures), group.key))


def assign_parent_groups(groups: Iterable[RunGroup]) -> Mapping[str, RunGroup]:
    """Return, for each network, the first of the groups that holds it."""
    found: dict[str, RunGroup] = {}
    for group in groups:
        for signature in group.network_signatures:
            found.setdefault(signature, group)
    return found
