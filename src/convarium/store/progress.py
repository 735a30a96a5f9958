"""What the user sees while a plan runs: a live table on a terminal, plain lines elsewhere, nothing if he wants JSON."""

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

from convarium.store import curves
from convarium.store.controller import Progress
from convarium.store.estimate import estimated_seconds
from convarium.store.lease import Leases
from convarium.store.plan import Node, Plan
from convarium.store.run_file import Run
from convarium.store.schedule import Survey
from convarium.store.store import Store

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

MAIN = ("accuracy", "validation_accuracy", "file_bytes", "ratio", "latency_ms", "speedup")
REPORTED = ("loss", "validation_accuracy", "accuracy")
REFRESH_SECONDS = 0.5
SHOWN = 16
RANK = ("epoch", "since", "stage", "figures", "phase")


def progress(quiet: bool) -> Progress:
    """Return what fits stderr: nothing, a live table, or plain lines."""
    if quiet:
        return Silent()
    return LiveTable(sys.stderr) if sys.stderr.isatty() else Lines(sys.stderr)


class Silent:
    """Says nothing."""

    def begin(self, plan: Plan, store: Store, run: Run, survey: Survey) -> None:
        """Say nothing."""

    def update(self, survey: Survey) -> None:
        """Say nothing."""

    def end(self) -> None:
        """Say nothing."""


class Lines:
    """A line for each stage that ends."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._told: set[str] = set()

    def begin(self, plan: Plan, store: Store, run: Run, survey: Survey) -> None:
        """Say how much there is to do."""
        self._plan, self._store, self._told = plan, store, set(survey.done)
        missing = plan.needed(survey.done)
        seconds = estimated_seconds(
            plan, store, [node for key, node in plan.nodes.items() if key in missing], run.workers
        )
        self._say(f"{len(missing)} stages to run with {run.workers} workers, about {duration(seconds)}")

    def update(self, survey: Survey) -> None:
        """Tell of what ended since the last call."""
        for signature in self._plan.nodes:
            if signature not in self._told and (signature in survey.done or signature in survey.failed):
                self._told.add(signature)
                count = f"[{len(self._told)}/{len(self._plan.nodes)}]"
                self._say(f"{count} {ending(self._plan.nodes[signature], signature, survey, self._store)}")

    def end(self) -> None:
        """Nothing is left to say."""

    def _say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class LiveTable:
    """One live table: points done, what runs and how far it is, time left; failures stay above it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown = 0.0
        self._since: dict[str, float] = {}
        self._live: Live | None = None

    def begin(self, plan: Plan, store: Store, run: Run, survey: Survey) -> None:
        """Open the table."""
        from rich.console import Console
        from rich.live import Live

        self._plan, self._store, self._workers, self._leases = plan, store, run.workers, Leases(run.id)
        self._failed: set[str] = set()
        self._live = Live(
            console=Console(file=self._stream), auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._live.start()
        self.update(survey)

    def update(self, survey: Survey) -> None:
        """Draw the table again, if the last time is long enough ago."""
        if self._live is None or (time.monotonic() - self._shown < REFRESH_SECONDS and survey.ready):
            return
        from rich.console import Group

        self._shown = time.monotonic()
        for signature in survey.failed.keys() - self._failed:
            self._failed.add(signature)
            line = ending(self._plan.nodes[signature], signature, survey, self._store)
            self._live.console.print(line, markup=False, highlight=False)
        running = [node for node in survey.ready if self._runs(node)]
        self._live.update(
            Group(self._title(survey, running), self._table(running, self._live.console.width)), refresh=True
        )

    def end(self) -> None:
        """Leave the table as it is."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _table(self, running: list[Node], width: int) -> "Table":
        from rich.table import Column, Table

        from convarium import columns

        name, told = (Column(heading, overflow="fold") for heading in ("name", "figures"))
        table = Table("stage", name, "phase", "epoch", told, "since", box=None)
        for node in running[:SHOWN]:
            report = curves.last(self._store.folder(node) / "curves.jsonl")
            epoch = f"{report['epoch']}/{report.get('epochs', '?')}" if "epoch" in report else ""
            since = duration(self._shown - self._since.setdefault(node.signature, self._shown))
            table.add_row(node.stage, node.name, str(report.get("phase", "")), epoch, figures(report, REPORTED), since)
        columns.fit(table, width, RANK)
        return table

    def _title(self, survey: Survey, running: list[Node]) -> str:
        points = self._plan.points
        done = sum(survey.done.issuperset(point.ends) for point in points)
        missing = self._plan.needed(survey.done) - survey.blocked - survey.failed.keys()
        nodes = [node for key, node in self._plan.nodes.items() if key in missing]
        seconds = estimated_seconds(self._plan, self._store, nodes, self._workers)
        spent = sum(self._shown - self._since.get(node.signature, self._shown) for node in running)
        left = max(0.0, seconds - spent / self._workers)
        failed = f", {len(survey.failed)} failed" if survey.failed else ""
        return f"{done} of {len(points)} points done{failed}, {len(missing)} stages left, about {duration(left)}"

    def _runs(self, node: Node) -> bool:
        claim = self._leases.look(self._store.folder(node))
        return claim is not None and claim.state == "alive"


def ending(node: Node, signature: str, survey: Survey, store: Store) -> str:
    """Return the line that says how a node ended."""
    title = f"{node.stage} {node.name}"
    if signature in survey.failed:
        return f"{title} failed: {survey.failed[signature]['error']}"
    record = store.done(signature) or {"result": {"metrics": {}}, "seconds": 0.0}
    said = (
        "void, the machine was too busy" if record["result"].get("void") else figures(record["result"]["metrics"], MAIN)
    )
    return f"{title} done in {duration(record['seconds'])}{': ' if said else ''}{said}"


def figures(values: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    """Return the named figures that are there, such as "accuracy 0.978, ratio 40"."""
    found = [(key, values[key]) for key in keys if isinstance(values.get(key), int | float)]
    texts = [f"{value:,}" if isinstance(value, int) else f"{value:.4g}" for _, value in found]
    return ", ".join(f"{key.replace('_', ' ')} {text}" for (key, _), text in zip(found, texts, strict=True))


def duration(seconds: float) -> str:
    """Return a time for people: "0.4 s", "34 s", "2 min 5 s", "3 h 10 min"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
