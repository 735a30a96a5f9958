"""A comparison as a table of the terminal."""

from collections.abc import Iterator, Mapping, Sequence
from string import ascii_lowercase
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from convarium import terminal_table
from convarium.comparison import coverage_text, timing_table
from convarium.comparison.interval_format import format_bounds
from convarium.comparison.number_format import (
    format_count,
    format_ratio,
    format_rounded,
    format_share,
    format_short_count,
)
from convarium.noun_count import format_noun_count

RowDocument = Mapping[str, Any]

# Every heading has two lines, because a row has two: figures, then their intervals.
TEST_HEADING = "test\nacc %"
BALANCED_HEADING = "bal.\nacc %"
MAIN_HEADINGS = ("val\nacc %", "Δ acc (pp)\n", "bytes\n", "ratio\n")
COUNT_HEADINGS = ("non-\nzeros", "MACs\n")
LATENCY_HEADING = "latency (ms)\nspeed-up"
COLUMN_PRIORITY = (
    "test acc %",
    "Δ acc (pp)",
    "bytes",
    "ratio",
    "latency (ms) speed-up",
    "val acc %",
    "bal. acc %",
    "nonzeros",
    "MACs",
)
VERDICT_COLOURS = {"better": "green", "worse": "red"}
VERDICT_NOTES = {
    "no test": "no test with 1 seed: the interval is that of this one network; another seed may do otherwise.",
    "not shown among": "not shown among so many rows: one row alone would show it, adjusted for all of them it is not.",
}


def print_comparison(document: Mapping[str, Any], console: Console) -> None:
    """Print a comparison (from `comparison_document.compare_results`) and what its columns mean."""
    rows = document["rows"]
    if not rows:
        console.print("No row to show.", highlight=False)
    groups = list(_group_by_dataset(rows))
    code_names = {code: _format_code(code) for code in _select_marked_codes(document)}
    if not all(
        terminal_table.has_room(_build_table(heading, group, code_names), console.width) for heading, group in groups
    ):
        code_names = dict(zip(code_names, ascii_lowercase, strict=False))
    for heading, group in groups:
        table = _build_table(heading, group, code_names)
        terminal_table.print_fitting_table(console, table, COLUMN_PRIORITY)
        if timing_table.has_several_timings(group):
            times = timing_table.build_timing_table(heading, group)
            terminal_table.print_fitting_table(console, times, timing_table.TIMING_COLUMN_PRIORITY)
    for line in _format_notes(document, code_names):
        console.print(Text(line, style="dim"))


def _group_by_dataset(rows: Sequence[RowDocument]) -> Iterator[tuple[str, list[RowDocument]]]:
    groups: dict[str, list[RowDocument]] = {}
    for row in rows:
        heading = f"{row['architecture']} on {row['dataset']}"
        groups.setdefault(heading, []).append(row)
    yield from groups.items()


def _select_marked_codes(document: Mapping[str, Any]) -> list[str]:
    """Return the audit codes that stand at their rows: those of some rows with figures, not of all."""
    measured_rows = [row for row in document["rows"] if row["signatures"]]
    return [code for code in document["audit"] if any(code not in row["audit"] for row in measured_rows)]


def _format_code(code: str) -> str:
    return code.replace("_", " ")


def _build_table(heading: str, rows: Sequence[RowDocument], code_names: Mapping[str, str]) -> Table:
    """Build the table of one architecture and dataset; each network takes two lines: figures, then their intervals.

    Audit codes have a column of their own where `code_names` has words for them, else their letters stand on the left.
    """
    has_words = any(len(name) > 1 for name in code_names.values())
    seed_counts = {len(row["seeds"]) for row in rows}
    has_one_seed_count = len(seed_counts) == 1
    has_balanced = any("uneven_classes" in row["audit"] for row in rows)
    has_latency = any(_get_mean(row, "latency_ms") is not None for row in rows)
    table = Table(
        title=f"{heading}, {_format_seed_count(*seed_counts)}" if has_one_seed_count else heading,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("", no_wrap=True)
    table.add_column("network", overflow="fold")
    headings = [TEST_HEADING, *MAIN_HEADINGS, *COUNT_HEADINGS]
    if has_balanced:
        headings.insert(1, BALANCED_HEADING)
    if has_latency:
        headings.append(LATENCY_HEADING)
    for name in headings:
        table.add_column(name, justify="right", no_wrap=True)
    if has_words:
        table.add_column("audit\n", no_wrap=True)
    for row in rows:
        names = [code_names[code] for code in row["audit"] if code in code_names]
        marks_cell = _format_marks(row, "" if has_words else "".join(names))
        label_cell = _format_label(row, with_seed_count=not has_one_seed_count)
        audit_cells = [Text("\n".join(names), style="dim")] if has_words else []
        table.add_row(marks_cell, label_cell, *_format_figure_cells(row, has_balanced, has_latency), *audit_cells)
    return table


def _format_marks(row: RowDocument, letters: str) -> Text:
    return Text("*" if row["pareto"] else "").append(f"\n{letters}" if letters else "", style="dim")


def _format_label(row: RowDocument, with_seed_count: bool) -> Text:
    label = Text(row["label"])
    if with_seed_count:
        label.append(f"\n{_format_seed_count(len(row['seeds']))}", style="dim")
    if row["status"]:
        label.append(f"\n{row['status']}", style="yellow")
    return label


def _format_figure_cells(row: RowDocument, has_balanced: bool, has_latency: bool) -> list[str | Text]:
    cells: list[str | Text] = [_format_accuracy(row["metrics"]["accuracy"])]
    if has_balanced:
        cells.append(format_share(_get_mean(row, "balanced_accuracy")))
    cells += [
        format_share(_get_mean(row, "validation_accuracy")),
        _format_accuracy_delta(row["versus_dense"].get("accuracy")),
        format_count(_get_mean(row, "file_bytes")),
        format_ratio(_get_mean(row, "ratio")),
        format_short_count(_get_mean(row, "nonzeros")),
        format_short_count(_get_mean(row, "macs")),
    ]
    if has_latency:
        cells.append(_format_latency(row))
    return cells


def _format_seed_count(count: int) -> str:
    return format_noun_count(count, "seed")


def _format_notes(document: Mapping[str, Any], code_names: Mapping[str, str]) -> Iterator[str]:
    if document["rows"]:
        yield from _format_column_notes(document)
    for code, meaning in document["audit"].items():
        name = _format_code(code)
        mark = code_names.get(code, "all rows")
        yield f"{name}: {meaning}." if mark == name else f"{mark}, {name}: {meaning}."
    missing_count = document["missing"]
    if missing_count:
        points = "points are" if missing_count > 1 else "point is"
        yield f"{missing_count} {points} not measured yet; convarium run with the same words."


def _format_column_notes(document: Mapping[str, Any]) -> Iterator[str]:
    rows = document["rows"]
    margin = f"{100 * document['margin']:g}"
    yield (
        "test acc %: mean over seeds, with the 95 % interval over seeds and test images. Δ acc (pp): test accuracy"
        " less that of the dense network of the same seed; 'better' or 'worse' only where Holm-adjusted p < 0.05;"
        f" 'no worse than {margin}' where so large a loss is refuted"
        " (one-sided, Holm's p < 0.05)."
    )
    differences = [row["versus_dense"]["accuracy"] for row in rows if row["versus_dense"].get("accuracy")]
    for verdict_start, note in VERDICT_NOTES.items():
        if any(difference["verdict"].startswith(verdict_start) for difference in differences):
            yield note
    yield "bytes: the whole file that was decoded and measured. ratio: bytes of the dense network's file / bytes."
    xz_ratios = _find_xz_ratio_range(rows)
    if xz_ratios:
        xz_range = " to ".join(f"{ratio:.2f}" for ratio in xz_ratios)
        yield f"For scale: xz -9e makes the dense file {xz_range} times smaller."
    yield from _format_timing_notes(rows)
    yield from coverage_text.format_coverage_notes(rows)
    yield "*: on a Pareto front (bytes, MACs or latency against validation accuracy) of these rows."


def _format_timing_notes(rows: Sequence[RowDocument]) -> Iterator[str]:
    if any(_get_mean(row, "latency_ms") is not None for row in rows):
        setting = _format_latency_setting(rows)
        yield f"latency: one forward pass{setting}; speed-up: the dense network's / this one's, taken in turns."
    if timing_table.has_several_timings(rows):
        yield timing_table.TIMING_NOTE
    quantizers = {timing["quantized_by"] for row in rows for timing in row["timings"]} - {None}
    if quantizers:
        yield f"quantized by {', '.join(quantizers)}: 8-bit weights by scales of its own, not the stored file's."


def _format_latency_setting(rows: Sequence[RowDocument]) -> str:
    """Format the setting of the main table's latency, if it is one for all rows and there are others."""
    settings = {(timing["executor"], timing["batch"]) for row in rows for timing in row["timings"][:1]}
    if len(settings) != 1 or not timing_table.has_several_timings(rows):
        return ""
    executor, image_count = settings.pop()
    return f" of {image_count} under {executor}"


def _find_xz_ratio_range(rows: Sequence[RowDocument]) -> list[float]:
    """Return the smallest and largest ratio, to two digits, of xz on the dense networks; one number if they agree."""
    ratios: set[float] = set()
    for row in rows:
        dense_bytes = _get_mean(row, "dense_bytes")
        xz_bytes = _get_mean(row, "xz_bytes")
        if dense_bytes and xz_bytes:
            ratios.add(round(dense_bytes / xz_bytes, 2))
    return sorted({min(ratios), max(ratios)}) if ratios else []


def _get_mean(row: RowDocument, metric: str) -> float | None:
    value: float | None = row["metrics"][metric]["mean"]
    return value


def _format_accuracy(summary: Mapping[str, float | None]) -> Text:
    mean, low, high = summary["mean"], summary["low"], summary["high"]
    text = Text(format_share(mean))
    if mean is None or low is None or high is None:
        return text
    bounds = format_bounds(round(100 * mean, 2), 100 * low, 100 * high, _format_bound_percent)
    return text.append(f"\n{bounds}", style="dim")


def _format_accuracy_delta(entry: Mapping[str, Any] | None) -> Text:
    if entry is None:
        return Text("")
    text = Text(format_rounded(100 * entry["difference"], 2, "+"))
    if entry["low"] is not None:
        difference, low, high = (100 * entry[key] for key in ("difference", "low", "high"))
        text.append(f" ({format_bounds(round(difference, 2), low, high, _format_bound_pp)})")
    text.append("\n")
    verdict = entry["verdict"].removesuffix(" pp")  # the heading has the unit
    is_equivalent = entry.get("equivalent")
    text.append(verdict, style=VERDICT_COLOURS.get(verdict, "green" if is_equivalent else "dim"))
    if verdict == "worse" and is_equivalent:
        text.append(f", by < {100 * entry['margin']:g}")
    return text


def _format_bound_percent(value: float, extra_digits: int) -> str:
    return format_rounded(value, 1 + extra_digits)


def _format_bound_pp(value: float, extra_digits: int) -> str:
    digits = 2 if abs(value) < 9.95 else 1  # from 9.95 on one digit rounds to 10.0: the width stays
    return format_rounded(value, digits + extra_digits, "+")


def _format_latency(row: RowDocument) -> Text:
    latency = _get_mean(row, "latency_ms")
    speedup = _get_mean(row, "speedup")
    text = Text("" if latency is None else f"{latency:.3g}")
    return text if speedup is None else text.append(f"\n{speedup:.2f}x", style="dim")
