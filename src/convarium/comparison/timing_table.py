"""Latency and quality under each executor as a table for people."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from convarium.comparison.timings import SETTING_KEYS

RowDocument = Mapping[str, Any]
TIMING_HEADINGS = ("latency\n(ms)", "speed-up\n", "test\nacc %", "as eager\n%", "model\nbytes", "peak\nbytes")
TIMING_COLUMN_PRIORITY = ("latency (ms)", "speed-up", "test acc %", "as eager %", "model bytes", "peak bytes")
TIMING_NOTE = (
    "latency: one forward pass of so many images; speed-up: the dense network's latency / this one's under the same"
    " executor, in turns, and the range over processes. test acc %, as eager %: test images that are right, and that"
    " are classified as PyTorch does, under this executor. peak bytes: the most that weights and tensors took at once,"
    " where the executor tells (PyTorch). One thread where none are named. void: the machine was too busy."
)


def has_several_timings(rows: Iterable[RowDocument]) -> bool:
    """Whether any row was timed in more than one way."""
    return any(len(row["timings"]) > 1 for row in rows)


def build_timing_table(heading: str, rows: Sequence[RowDocument]) -> Table:
    """Return a section an executor and number of images, in it a line a row: latencies compare within one only."""
    found = Table(title=f"time, {heading}", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    found.show_edge, found.padding = False, (0, 1, 0, 0)
    for name in ("executor", "network"):
        found.add_column(name, overflow="fold")
    for name in TIMING_HEADINGS:
        found.add_column(name, justify="right", no_wrap=True)
    for section in _group_by_setting(rows):
        for place, (row, timing) in enumerate(section):
            named = "" if place else _format_setting(timing)
            found.add_row(named, row["label"], *_format_timing_cells(timing), end_section=place == len(section) - 1)
    return found


def _group_by_setting(rows: Sequence[RowDocument]) -> Iterator[list[tuple[RowDocument, RowDocument]]]:
    sections: dict[tuple[Any, ...], list[tuple[RowDocument, RowDocument]]] = {}
    for row in rows:
        for timing in row["timings"]:
            sections.setdefault(tuple(timing[key] for key in SETTING_KEYS), []).append((row, timing))
    yield from sections.values()


def _format_setting(timing: RowDocument) -> Text:
    images = "1 image" if timing["batch"] == 1 else f"{timing['batch']} images"
    threads = "" if timing["threads"] == 1 else f", {timing['threads']} threads"
    device = "" if timing["device"] == "cpu" else f", {timing['device']}"
    quantizer = f"\nquantized by {timing['quantized_by']}" if timing["quantized_by"] else ""
    return Text(timing["executor"]).append(f"\n{images}{threads}{device}{quantizer}", style="dim")


def _format_timing_cells(timing: RowDocument) -> list[str | Text]:
    latency, speedup, ends = (timing[key] for key in ("latency_ms", "speedup", "speedup_range"))
    missing = "void" if timing["void"] else ""
    speedup_cell = Text(missing if speedup is None else f"{speedup:.2f}x")
    if ends:
        speedup_cell.append(f"\n{ends[0]:.2f}..{ends[1]:.2f}", style="dim")
    return [
        "" if latency is None else f"{latency:.3g}",
        speedup_cell,
        _format_percent(timing["accuracy"]),
        _format_percent(timing["agreement"]),
        *(_format_bytes(timing[key]) for key in ("model_bytes", "peak_memory_bytes")),
    ]


def _format_bytes(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _format_percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f}"
