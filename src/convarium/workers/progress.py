"""Displays of a running plan on stderr: a live table on a terminal, plain lines elsewhere, nothing with --json."""

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

from convarium.noun_count import format_noun_count
from convarium.planning.duration_estimate import estimate_plan_seconds
from convarium.planning.plan import Node, Plan
from convarium.stages.declaration import makes_network
from convarium.store import curves
from convarium.store.result_folder import ResultFolder
from convarium.store.store import Store
from convarium.workers.lease import LeaseManager
from convarium.workers.progress_display import ProgressDisplay
from convarium.workers.ready_nodes import PlanState
from convarium.workers.run_file import Run
from convarium.workers.wait_notice import WaitPrinter

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

MAIN_METRICS = ("accuracy", "validation_accuracy", "file_bytes", "ratio", "latency_ms", "speedup")
REPORT_METRICS = ("loss", "validation_accuracy", "accuracy")
REFRESH_SECONDS = 0.5
MAX_TABLE_ROWS = 16
NO_FIGURE = "-"
COLUMN_PRIORITY = ("epoch", "since", "stage", "figures", "phase")  # a narrow terminal loses the last first


def build_progress_display(quiet: bool) -> ProgressDisplay:
    """Return the display that suits stderr, if `quiet` one of waits alone."""
    if quiet:
        return WaitLines(sys.stderr)
    return ProgressTable(sys.stderr) if sys.stderr.isatty() else ProgressLines(sys.stderr)


class WaitLines:
    """A display that prints only whom or what the run's workers wait for."""

    def __init__(self, stream: TextIO) -> None:
        self._wait_printer = WaitPrinter(stream)

    def begin(self, plan: Plan, store: Store, run: Run, plan_state: PlanState) -> None:
        """Print nothing."""
        self._run = run

    def update(self, plan_state: PlanState) -> None:
        """Print a line for what is waited for since the last call."""
        self._wait_printer.print_new(self._run.read_wait_notices())

    def end(self) -> None:
        """Print nothing."""


class ProgressLines:
    """A display that prints one line for each node that ends."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._ended_signatures: set[str] = set()
        self._wait_printer = WaitPrinter(stream)
        self._stage_count = 0
        self._ended_count = 0

    def begin(self, plan: Plan, store: Store, run: Run, plan_state: PlanState) -> None:
        """Print how many stages there are to run, and about how long they take."""
        self._plan = plan
        self._store = store
        self._run = run
        self._ended_signatures = set(plan_state.done)
        needed = plan.select_needed(plan_state.done)
        needed_nodes = [node for signature, node in plan.nodes.items() if signature in needed]
        duration = format_duration(estimate_plan_seconds(plan, store, needed_nodes, run.workers))
        self._stage_count = len(needed)
        stages = format_noun_count(len(needed), "stage")
        workers = format_noun_count(run.workers, "worker")
        self._print_line(f"{stages} to run with {workers}, about {duration}")

    def update(self, plan_state: PlanState) -> None:
        """Print a line for each node that has ended since the last call, and for what is waited for."""
        self._wait_printer.print_new(self._run.read_wait_notices())
        for signature, node in self._plan.nodes.items():
            has_ended = signature in plan_state.done or signature in plan_state.failed
            if has_ended and signature not in self._ended_signatures:
                self._ended_signatures.add(signature)
                line = format_node_end(node, signature, plan_state, self._store)
                self._ended_count += 1
                self._print_line(f"[{self._ended_count}/{self._stage_count}] {line}")

    def end(self) -> None:
        """Print nothing: each node has its line."""

    def _print_line(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


class ProgressTable:
    """A live table of the running stages, with the points done and the time left as its title; failures stay above."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._draw_time = 0.0
        self._first_seen_times: dict[str, float] = {}
        self._printed_failures: set[str] = set()
        self._live: Live | None = None

    def begin(self, plan: Plan, store: Store, run: Run, plan_state: PlanState) -> None:
        """Open the table."""
        from rich.console import Console
        from rich.live import Live

        self._plan = plan
        self._store = store
        self._run = run
        self._workers = run.workers
        self._leases = LeaseManager(run.id)
        # update() alone draws, and rich must not swap sys.stdout and sys.stderr, which the capture of a stage's output
        # swaps as well.
        self._live = Live(
            console=Console(file=self._stream), auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._live.start()
        self.update(plan_state)

    def update(self, plan_state: PlanState) -> None:
        """Print new failures and draw the table, unless a table was drawn a moment ago and the plan is not finished."""
        if self._live is None:
            return
        if time.monotonic() - self._draw_time < REFRESH_SECONDS and not plan_state.is_finished:
            return
        from rich.console import Group

        self._draw_time = time.monotonic()
        self._print_failures(plan_state, self._live)
        running = [node for node in plan_state.ready if self._is_running(node)]
        table = self._build_table(running, self._live.console.width)
        waits = self._run.read_wait_notices()
        self._live.update(Group(self._format_title(plan_state, running), table, *waits), refresh=True)

    def end(self) -> None:
        """Leave the table on the terminal as it was last drawn."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _print_failures(self, plan_state: PlanState, live: "Live") -> None:
        for signature in plan_state.failed.keys() - self._printed_failures:
            self._printed_failures.add(signature)
            line = format_node_end(self._plan.nodes[signature], signature, plan_state, self._store)
            live.console.print(line, markup=False, highlight=False)

    def _build_table(self, running: list[Node], width: int) -> "Table":
        from rich.table import Column, Table

        from convarium import terminal_table

        name_column = Column("name", overflow="fold")
        figures_column = Column("figures", overflow="fold")
        table = Table("stage", name_column, "phase", "epoch", figures_column, "since", box=None)
        for node in running[:MAX_TABLE_ROWS]:
            report = curves.read_last_report(ResultFolder(self._store.folder_of(node)).curves)
            phase, epoch, figures = format_report(node.stage, report)
            first_seen_time = self._first_seen_times.setdefault(node.signature, self._draw_time)
            since = format_duration(self._draw_time - first_seen_time)
            table.add_row(node.stage, node.name, phase, epoch, figures, since)
        terminal_table.drop_columns(table, width, COLUMN_PRIORITY)
        return table

    def _format_title(self, plan_state: PlanState, running: list[Node]) -> str:
        points = self._plan.points
        points_done = sum(plan_state.done.issuperset(point.figure_signatures) for point in points)
        failures = f", {len(plan_state.failed)} failed" if plan_state.failed else ""
        missing = self._plan.select_needed(plan_state.done) - plan_state.blocked - plan_state.failed.keys()
        missing_nodes = [node for signature, node in self._plan.nodes.items() if signature in missing]
        time_left = format_time_left(self._estimate_remaining_seconds(missing_nodes, running))
        done = f"{points_done} of {format_noun_count(len(points), 'point')} done"
        return f"{done}{failures}, {format_noun_count(len(missing), 'stage')} left, {time_left}"

    def _estimate_remaining_seconds(self, missing_nodes: list[Node], running: list[Node]) -> float:
        """Return the estimate for all missing nodes, less the time for which the running ones have run."""
        spent_seconds = {
            node.signature: self._draw_time - self._first_seen_times.get(node.signature, self._draw_time)
            for node in running
        }
        return estimate_plan_seconds(self._plan, self._store, missing_nodes, self._workers, spent_seconds)

    def _is_running(self, node: Node) -> bool:
        lease_info = self._leases.read(self._store.folder_of(node))
        return lease_info is not None and lease_info.state == "alive"


def format_node_end(node: Node, signature: str, plan_state: PlanState, store: Store) -> str:
    """Return the line that says how a node ended: its failure, or its duration and main metrics."""
    title = f"{node.stage} {node.name}"
    if signature in plan_state.failed:
        return f"{title} failed: {plan_state.failed[signature]['error']}"
    # The result may have been removed since the state was read.
    record = store.find_record(signature) or {"result": {"metrics": {}}, "seconds": 0.0}
    result = record["result"]
    if result.get("void"):
        figures = "void, the machine was too busy"
    else:
        figures = format_figures(result["metrics"], MAIN_METRICS)
    line = f"{title} done in {format_duration(record['seconds'])}"
    return f"{line}: {figures}" if figures else line


def format_report(stage: str, report: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return phase, epoch and figures of a running stage; hyphens for what it has not reported.

    Args:
        report: the last one of the stage; empty, or with None for each value, where there is none yet.
    """
    phase = report.get("phase")
    if not phase:
        phase = "starting" if makes_network(stage) else "running"
    epoch = f"{report['epoch']}/{report.get('epochs', '?')}" if report.get("epoch") is not None else NO_FIGURE
    return str(phase), epoch, format_figures(report, REPORT_METRICS) or NO_FIGURE


def format_figures(values: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    """Return the numbers among `keys` of `values` as text, such as "accuracy 0.978, ratio 40"."""
    figures: list[str] = []
    for key in keys:
        value = values.get(key)
        if isinstance(value, int | float):
            number = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
            figures.append(f"{key.replace('_', ' ')} {number}")
    return ", ".join(figures)


def format_time_left(seconds: float) -> str:
    """Return an estimate of the time left as text; 0 where all that is left runs for longer than was estimated."""
    return f"about {format_duration(seconds)}" if seconds > 0 else "which take longer than estimated"


def format_duration(seconds: float) -> str:
    """Return a duration as text: "0.4 s", "34 s", "2 min 5 s" or "3 h 10 min"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest_seconds = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest_seconds} s"
    hours, rest_minutes = divmod(minutes, 60)
    if hours == 0:
        return f"{minutes} min {rest_seconds} s"
    return f"{hours} h {rest_minutes} min"
