"""Latency and quality under each executor as a table of the terminal."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from convarium.comparison.number_format import format_count, format_share
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
    """Return a table with a section for each executor and number of images; latencies compare only within one."""
    table = Table(
        title=f"time, {heading}",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for name in ("executor", "network"):
        table.add_column(name, overflow="fold")
    for name in TIMING_HEADINGS:
        table.add_column(name, justify="right", no_wrap=True)
    for section in _group_by_setting(rows):
        for index, (row, timing) in enumerate(section):
            setting_cell = _format_setting(timing) if index == 0 else ""
            is_last = index == len(section) - 1
            table.add_row(setting_cell, row["label"], *_format_timing_cells(timing), end_section=is_last)
    return table


def _group_by_setting(rows: Sequence[RowDocument]) -> Iterator[list[tuple[RowDocument, RowDocument]]]:
    """Yield, for each setting, the pairs of a row and its timing under the setting."""
    sections: dict[tuple[Any, ...], list[tuple[RowDocument, RowDocument]]] = {}
    for row in rows:
        for timing in row["timings"]:
            setting = tuple(timing[key] for key in SETTING_KEYS)
            sections.setdefault(setting, []).append((row, timing))
    yield from sections.values()


def _format_setting(timing: RowDocument) -> Text:
    images = "1 image" if timing["batch"] == 1 else f"{timing['batch']} images"
    threads = "" if timing["threads"] == 1 else f", {timing['threads']} threads"
    device = "" if timing["device"] == "cpu" else f", {timing['device']}"
    quantizer = f"\nquantized by {timing['quantized_by']}" if timing["quantized_by"] else ""
    return Text(timing["executor"]).append(f"\n{images}{threads}{device}{quantizer}", style="dim")


def _format_timing_cells(timing: RowDocument) -> list[str | Text]:
    latency = timing["latency_ms"]
    speedup = timing["speedup"]
    speedup_range = timing["speedup_range"]
    text_without_speedup = "void" if timing["void"] else ""
    speedup_cell = Text(text_without_speedup if speedup is None else f"{speedup:.2f}x")
    if speedup_range:
        speedup_cell.append(f"\n{speedup_range[0]:.2f}..{speedup_range[1]:.2f}", style="dim")
    return [
        "" if latency is None else f"{latency:.3g}",
        speedup_cell,
        format_share(timing["accuracy"]),
        format_share(timing["agreement"]),
        format_count(timing["model_bytes"]),
        format_count(timing["peak_memory_bytes"]),
    ]
