"""What the user sees while a plan runs: a live table on a terminal, plain lines elsewhere, nothing if he wants JSON."""

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

from convarium.planning.duration_estimate import estimate_plan_seconds
from convarium.planning.plan import Node, Plan
from convarium.store import curves
from convarium.store.result_folder import ResultFolder
from convarium.store.store import Store
from convarium.workers.controller import ProgressDisplay
from convarium.workers.lease import LeaseManager
from convarium.workers.ready_nodes import PlanState
from convarium.workers.run_file import Run

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

MAIN_METRICS = ("accuracy", "validation_accuracy", "file_bytes", "ratio", "latency_ms", "speedup")
REPORT_METRICS = ("loss", "validation_accuracy", "accuracy")
REFRESH_SECONDS = 0.5
MAX_TABLE_ROWS = 16
COLUMN_PRIORITY = ("epoch", "since", "stage", "figures", "phase")


def build_progress_display(quiet: bool) -> ProgressDisplay:
    """Return what fits stderr: nothing, a live table, or plain lines."""
    if quiet:
        return SilentProgress()
    return ProgressTable(sys.stderr) if sys.stderr.isatty() else ProgressLines(sys.stderr)


class SilentProgress:
    """Says nothing."""

    def begin(self, plan: Plan, store: Store, run: Run, plan_state: PlanState) -> None:
        """Say nothing."""

    def update(self, plan_state: PlanState) -> None:
        """Say nothing."""

    def end(self) -> None:
        """Say nothing."""


class ProgressLines:
    """A line for each stage that ends."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._printed: set[str] = set()

    def begin(self, plan: Plan, store: Store, run: Run, plan_state: PlanState) -> None:
        """Say how much there is to do."""
        self._plan, self._store, self._printed = plan, store, set(plan_state.done)
        missing = plan.select_needed(plan_state.done)
        seconds = estimate_plan_seconds(
            plan, store, [node for key, node in plan.nodes.items() if key in missing], run.workers
        )
        self._print_line(f"{len(missing)} stages to run with {run.workers} workers, about {format_duration(seconds)}")

    def update(self, plan_state: PlanState) -> None:
        """Tell of what ended since the last call."""
        for signature in self._plan.nodes:
            if signature not in self._printed and (signature in plan_state.done or signature in plan_state.failed):
                self._printed.add(signature)
                count = f"[{len(self._printed)}/{len(self._plan.nodes)}]"
                self._print_line(
                    f"{count} {format_node_end(self._plan.nodes[signature], signature, plan_state, self._store)}"
                )

    def end(self) -> None:
        """Nothing is left to say."""

    def _print_line(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class ProgressTable:
    """One live table: points done, what runs and how far it is, time left; failures stay above it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._drawn_at = 0.0
        self._first_seen_at: dict[str, float] = {}
        self._live: Live | None = None

    def begin(self, plan: Plan, store: Store, run: Run, plan_state: PlanState) -> None:
        """Open the table."""
        from rich.console import Console
        from rich.live import Live

        self._plan, self._store, self._workers, self._leases = plan, store, run.workers, LeaseManager(run.id)
        self._failed: set[str] = set()
        self._live = Live(
            console=Console(file=self._stream), auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._live.start()
        self.update(plan_state)

    def update(self, plan_state: PlanState) -> None:
        """Draw the table again, if the last time is long enough ago."""
        if self._live is None or (time.monotonic() - self._drawn_at < REFRESH_SECONDS and plan_state.ready):
            return
        from rich.console import Group

        self._drawn_at = time.monotonic()
        for signature in plan_state.failed.keys() - self._failed:
            self._failed.add(signature)
            line = format_node_end(self._plan.nodes[signature], signature, plan_state, self._store)
            self._live.console.print(line, markup=False, highlight=False)
        running = [node for node in plan_state.ready if self._is_running(node)]
        self._live.update(
            Group(self._format_title(plan_state, running), self._build_table(running, self._live.console.width)),
            refresh=True,
        )

    def end(self) -> None:
        """Leave the table as it is."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _build_table(self, running: list[Node], width: int) -> "Table":
        from rich.table import Column, Table

        from convarium import terminal_table

        name, told = (Column(heading, overflow="fold") for heading in ("name", "figures"))
        table = Table("stage", name, "phase", "epoch", told, "since", box=None)
        for node in running[:MAX_TABLE_ROWS]:
            report = curves.read_last_report(ResultFolder(self._store.folder_of(node)).curves)
            epoch = f"{report['epoch']}/{report.get('epochs', '?')}" if "epoch" in report else ""
            since = format_duration(self._drawn_at - self._first_seen_at.setdefault(node.signature, self._drawn_at))
            table.add_row(
                node.stage,
                node.name,
                str(report.get("phase", "")),
                epoch,
                format_figures(report, REPORT_METRICS),
                since,
            )
        terminal_table.drop_columns(table, width, COLUMN_PRIORITY)
        return table

    def _format_title(self, plan_state: PlanState, running: list[Node]) -> str:
        points = self._plan.points
        done = sum(plan_state.done.issuperset(point.figure_signatures) for point in points)
        missing = self._plan.select_needed(plan_state.done) - plan_state.blocked - plan_state.failed.keys()
        nodes = [node for key, node in self._plan.nodes.items() if key in missing]
        seconds = estimate_plan_seconds(self._plan, self._store, nodes, self._workers)
        spent = sum(self._drawn_at - self._first_seen_at.get(node.signature, self._drawn_at) for node in running)
        left = max(0.0, seconds - spent / self._workers)
        failed = f", {len(plan_state.failed)} failed" if plan_state.failed else ""
        return f"{done} of {len(points)} points done{failed}, {len(missing)} stages left, about {format_duration(left)}"

    def _is_running(self, node: Node) -> bool:
        claim = self._leases.read(self._store.folder_of(node))
        return claim is not None and claim.state == "alive"


def format_node_end(node: Node, signature: str, plan_state: PlanState, store: Store) -> str:
    """Return the line that says how a node ended."""
    title = f"{node.stage} {node.name}"
    if signature in plan_state.failed:
        return f"{title} failed: {plan_state.failed[signature]['error']}"
    record = store.find_record(signature) or {"result": {"metrics": {}}, "seconds": 0.0}
    said = (
        "void, the machine was too busy"
        if record["result"].get("void")
        else format_figures(record["result"]["metrics"], MAIN_METRICS)
    )
    return f"{title} done in {format_duration(record['seconds'])}{': ' if said else ''}{said}"


def format_figures(values: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    """Return the named figures that are there, such as "accuracy 0.978, ratio 40"."""
    found = [(key, values[key]) for key in keys if isinstance(values.get(key), int | float)]
    texts = [f"{value:,}" if isinstance(value, int) else f"{value:.4g}" for _, value in found]
    return ", ".join(f"{key.replace('_', ' ')} {text}" for (key, _), text in zip(found, texts, strict=True))


def format_duration(seconds: float) -> str:
    """Return a time for people: "0.4 s", "34 s", "2 min 5 s", "3 h 10 min"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
