"""A comparison as a table for people."""

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

RowDocument = Mapping[str, Any]

TEST_HEADING, BALANCED_HEADING = ("test\nacc %",), ("bal.\nacc %",)
MAIN_HEADINGS = ("val\nacc %", "Δ acc (pp)\n", "bytes\n", "ratio\n")
COUNT_HEADINGS = ("non-\nzeros", "MACs\n")
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
    """Print a comparison (as `rows.compare_results` makes it) and what its columns mean."""
    rows = document["rows"]
    if not rows:
        console.print("No row to show.", highlight=False)
    for heading, group in _group_by_dataset(rows):
        terminal_table.print_fitting_table(
            console, _build_table(heading, group, _assign_code_letters(document)), COLUMN_PRIORITY
        )
        if timing_table.has_several_timings(group):
            terminal_table.print_fitting_table(
                console, timing_table.build_timing_table(heading, group), timing_table.TIMING_COLUMN_PRIORITY
            )
    for line in _format_notes(document):
        console.print(Text(line, style="dim"))


def _group_by_dataset(rows: Sequence[RowDocument]) -> Iterator[tuple[str, list[RowDocument]]]:
    groups: dict[str, list[RowDocument]] = {}
    for row in rows:
        groups.setdefault(f"{row['architecture']} on {row['dataset']}", []).append(row)
    yield from groups.items()


def _assign_code_letters(document: Mapping[str, Any]) -> dict[str, str]:
    """Return a letter for each audit code; what is so in all rows with figures needs none."""
    made = [row for row in document["rows"] if row["signatures"]]
    some = [code for code in document["audit"] if any(code not in row["audit"] for row in made)]
    return dict(zip(some, ascii_lowercase, strict=False))


def _build_table(heading: str, rows: Sequence[RowDocument], letters: Mapping[str, str]) -> Table:
    """Each network takes two lines: figures, then their intervals."""
    timed = any(_get_mean(row, "latency_ms") is not None for row in rows)
    seeds = {len(row["seeds"]) for row in rows}
    title = f"{heading}, {_format_seed_count(*seeds)}" if len(seeds) == 1 else heading
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.show_edge = False
    table.add_column("", no_wrap=True)
    table.add_column("network", overflow="fold")
    uneven = any("uneven_classes" in row["audit"] for row in rows)
    names = TEST_HEADING + (BALANCED_HEADING if uneven else ()) + MAIN_HEADINGS + COUNT_HEADINGS
    for name in names + (("latency (ms)\nspeed-up",) if timed else ()):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        extra = [_format_short_count(_get_mean(row, metric)) for metric in ("nonzeros", "macs")]
        table.add_row(
            *_format_cells(row, len(seeds) > 1, uneven, letters), *extra, *([_format_latency(row)] if timed else [])
        )
    return table


def _format_cells(row: RowDocument, with_seeds: bool, uneven: bool, letters: Mapping[str, str]) -> list[str | Text]:
    label = Text(row["label"])
    if with_seeds:
        label.append(f"\n{_format_seed_count(len(row['seeds']))}", style="dim")
    if row["status"]:
        label.append(f"\n{row['status']}", style="yellow")
    marks = "".join(letters[code] for code in row["audit"] if code in letters)
    return [
        Text("*" if row["pareto"] else "").append(f"\n{marks}" if marks else "", style="dim"),
        label,
        _format_accuracy(row["metrics"]["accuracy"]),
        *([_format_percent(_get_mean(row, "balanced_accuracy"))] if uneven else []),
        _format_percent(_get_mean(row, "validation_accuracy")),
        _format_accuracy_delta(row["versus_dense"].get("accuracy")),
        _format_count(_get_mean(row, "file_bytes")),
        _format_ratio(_get_mean(row, "ratio")),
    ]


def _format_seed_count(count: int) -> str:
    return f"{count} seed{'' if count == 1 else 's'}"


def _format_notes(document: Mapping[str, Any]) -> Iterator[str]:
    rows = document["rows"]
    if rows:
        yield (
            "test acc %: mean over seeds, with the 95 % interval over seeds and test images. Δ acc (pp): test accuracy"
            " less that of the dense network of the same seed; 'better' or 'worse' only where Holm-adjusted p < 0.05;"
            f" 'no worse than {_format_margin(document)}' where so large a loss is refuted"
            " (one-sided, Holm's p < 0.05)."
        )
        verdicts = [entry["verdict"] for row in rows if (entry := row["versus_dense"].get("accuracy"))]
        yield from (line for verdict, line in VERDICT_NOTES.items() if any(one.startswith(verdict) for one in verdicts))
        yield "bytes: the whole file that was decoded and measured. ratio: bytes of the dense network's file / bytes."
        if xz := _find_xz_ratio_range(rows):
            yield f"For scale: xz -9e makes the dense file {' to '.join(f'{x:.2f}' for x in xz)} times smaller."
        if any(_get_mean(row, "latency_ms") is not None for row in rows):
            first = _format_first_timing(rows)
            yield f"latency: one forward pass{first}; speed-up: the dense network's / this one's, taken in turns."
        if timing_table.has_several_timings(rows):
            yield timing_table.TIMING_NOTE
        if quantizers := {one["quantized_by"] for row in rows for one in row["timings"]} - {None}:
            yield f"quantized by {', '.join(quantizers)}: 8-bit weights by scales of its own, not the stored file's."
        yield from coverage_text.format_coverage_notes(rows)
        yield "*: on a Pareto front (bytes, MACs or latency against validation accuracy) of these rows."
    letters = _assign_code_letters(document)
    for code, meaning in document["audit"].items():
        yield f"{letters.get(code, 'all rows')}, {code}: {meaning}."
    if missing := document["missing"]:
        yield f"{missing} point{'s are' if missing > 1 else ' is'} not measured yet; convarium run with the same words."


def _format_first_timing(rows: Sequence[RowDocument]) -> str:
    """How the latency of the first table was taken, where there are others."""
    firsts = {(one["executor"], one["batch"]) for row in rows for one in row["timings"][:1]}
    return (
        " of {1} under {0}".format(*firsts.pop()) if timing_table.has_several_timings(rows) and len(firsts) == 1 else ""
    )


def _find_xz_ratio_range(rows: Sequence[RowDocument]) -> list[float]:
    """The smallest and largest ratio, to two digits, that a general compressor reaches on the dense networks."""
    sizes = [(_get_mean(row, "dense_bytes"), _get_mean(row, "xz_bytes")) for row in rows]
    ratios = {round(dense / xz, 2) for dense, xz in sizes if dense and xz}
    return sorted({min(ratios), max(ratios)}) if ratios else []


def _get_mean(row: RowDocument, metric: str) -> float | None:
    value: float | None = row["metrics"][metric]["mean"]
    return value


def _format_accuracy(summary: Mapping[str, float | None]) -> Text:
    text = Text(_format_percent(summary["mean"]))
    mean, low, high = summary["mean"], summary["low"], summary["high"]
    if mean is None or low is None or high is None:
        return text
    ends = format_bounds(round(100 * mean, 2), 100 * low, 100 * high, lambda value, further: f"{value:.{1 + further}f}")
    return text.append(f"\n{ends}", style="dim")


def _format_accuracy_delta(entry: Mapping[str, Any] | None) -> Text:
    if entry is None:
        return Text("")
    text = Text(f"{100 * entry['difference']:+.2f}")
    if entry["low"] is not None:
        middle, low, high = (100 * entry[key] for key in ("difference", "low", "high"))
        text.append(f" ({format_bounds(round(middle, 2), low, high, _format_pp)})")
    text.append("\n")
    verdict = entry["verdict"].removesuffix(" pp")
    text.append(verdict, style=VERDICT_COLOURS.get(verdict, "green" if entry.get("equivalent") else "dim"))
    return text.append(f", by < {100 * entry['margin']:g}" if verdict == "worse" and entry.get("equivalent") else "")


def _format_margin(document: Mapping[str, Any]) -> str:
    return f"{100 * document['margin']:g}"


def _format_pp(value: float, extra_digits: int) -> str:
    return f"{value:+.{(2 if abs(value) < 9.95 else 1) + extra_digits}f}"


def _format_latency(row: RowDocument) -> Text:
    value, ratio = _get_mean(row, "latency_ms"), _get_mean(row, "speedup")
    text = Text("" if value is None else f"{value:.3g}")
    return text if ratio is None else text.append(f"\n{ratio:.2f}x", style="dim")


def _format_percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"


def _format_count(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _format_ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}x"


def _format_short_count(value: float | None) -> str:
    """Three digits and a unit: 431k, 2.29M."""
    if value is None:
        return ""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= 0.9995 * size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.0f}"
