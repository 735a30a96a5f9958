"""A group of networks that one command asked for: their parent run carries the report of their comparison."""

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
from convarium.compose.sweeps import list_sweeps, read_sweep
from convarium.errors import UserError
from convarium.planning.plan import Plan
from convarium.planning.plan_file import list_plan_files, read_plan
from convarium.stages.score import STAGE as SCORE
from convarium.store.store import Store
from convarium.tracking.grid_commands import format_run_commands
from convarium.tracking.run_content import MAX_VALUE_CHARS, NetworkEntry, get_end_ms, get_start_ms, shorten_text
from convarium.tracking.tracked_runs import GROUP_TAG

GROUP_STATE_VERSION = 2  # raised when what a parent run says changes, so that a sync writes it again
REPORT_FILE = "report.html"
TABLE_FILE = "table.csv"
GROUP_FILES = (REPORT_FILE, TABLE_FILE)
MAX_NAME_CHARS = 200


@dataclass(frozen=True)
class RunGroup:
    """A plan of several points, and the name of the sweep that it was made from, if that is known."""

    plan: Plan
    sweep: str | None = None

    @cached_property
    def key(self) -> str:
        """The first 12 hex digits of sha256 over its networks' signatures, which identify the group."""
        return sha256(" ".join(sorted(self.network_signatures)).encode()).hexdigest()[:12]

    @cached_property
    def network_signatures(self) -> frozenset[str]:
        """Signatures of its points' networks, and of the dense networks that they are compared with."""
        return frozenset(signature for point in self.plan.points for signature in (point.network, point.dense))

    @property
    def name(self) -> str:
        """The sweep's name, or the architectures and datasets of the points, with the number of points."""
        configs = [point.config for point in self.plan.points]
        tasks = [f"{config['architecture']['name']} {config['dataset']['name']}" for config in configs]
        title = self.sweep or ", ".join(dict.fromkeys(tasks))
        return f"{title} ({len(configs)} points)"[:MAX_NAME_CHARS]

    @property
    def is_comparable(self) -> bool:
        """Whether it holds several points, and measures them: a search's trials are only scored."""
        return len(self.plan.points) > 1 and all(
            self.plan.nodes[point.measure].stage != SCORE.name for point in self.plan.points
        )

    def compute_state(self, entries: Iterable[NetworkEntry]) -> str:
        """Return a hash that changes whenever the state of one of its networks does."""
        states = sorted(entry.state for entry in entries if entry.signature in self.network_signatures)
        return sha256(" ".join([str(GROUP_STATE_VERSION), self.key, *states]).encode()).hexdigest()[:12]

    def find_time_span(self, store: Store) -> tuple[int, int] | None:
        """Return when its first stored stage was started and when the last one ended, in ms since 1970.

        None where nothing of it is stored.
        """
        records = [record for signature in self.plan.nodes if (record := store.find_record(signature))]
        if not records:
            return None
        return min(map(get_start_ms, records)), max(map(get_end_ms, records))

    def build_tags(self) -> dict[str, str]:
        """Return the tags of its parent run: what it is, the commands that ask for it again, and a description."""
        command = "\n".join(format_run_commands(point.overrides for point in self.plan.points))
        tags = {
            "convarium.kind": "sweep",
            "convarium.sweep": self.sweep or "none",
            GROUP_TAG: self.key,
            "mlflow.source.name": command,
            "mlflow.source.type": "LOCAL",
            "mlflow.note.content": self._format_note(command),
        }
        return {key: shorten_text(value, MAX_VALUE_CHARS) for key, value in tags.items()}

    def build_report_files(self, store: Store) -> dict[str, str]:
        """Return the comparison of its points as a page and as a table, by file name."""
        collected = collect_plan_results(self.plan, store)
        document: dict[str, Any] = compare_results(
            collected.results,
            collected.missing_count,
            dense_results=collected.dense_results,
            refused=collected.refused,
        )
        command = f"convarium compare sweep={self.sweep}" if self.sweep else "convarium compare"
        report = build_report(document, collected.results, store, command)
        return {REPORT_FILE: build_html_page(report), TABLE_FILE: format_csv_table(document)}

    def _format_note(self, command: str) -> str:
        sweep_description = _read_sweep_description(self.sweep) if self.sweep else ""
        files = " and ".join(f"`{name}`" for name in GROUP_FILES)
        paragraphs = [
            f"**{self.name}**",
            sweep_description,
            f"```\n{command}\n```",
            f"The comparison of its points is in {files}.",
        ]
        return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def read_stored_groups(store: Store) -> list[RunGroup]:
    """Return a group for each stored plan that asks for a comparison, the largest first."""
    groups: dict[str, RunGroup] = {}
    for file in list_plan_files(store.root):
        try:
            group = RunGroup(read_plan(file))
        except UserError:  # damaged, or of another version: its results are tracked without it
            continue
        if group.is_comparable:
            groups.setdefault(group.key, group)
    return sorted(groups.values(), key=lambda group: (-len(group.network_signatures), group.key))


def assign_parent_groups(groups: Iterable[RunGroup]) -> Mapping[str, RunGroup]:
    """Return, for each network, the first of the groups that holds it."""
    parent_groups: dict[str, RunGroup] = {}
    for group in groups:
        for signature in group.network_signatures:
            parent_groups.setdefault(signature, group)
    return parent_groups


def _read_sweep_description(name: str) -> str:
    """Return the description in a sweep's file; "" where the file is gone or damaged by now."""
    if name not in list_sweeps():
        return ""
    try:
        _, sweep = read_sweep(name)
    except UserError:
        return ""
    return str(sweep["description"])
