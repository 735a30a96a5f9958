"""A comparison as a table for people."""

from collections.abc import Iterator, Mapping, Sequence
from string import ascii_lowercase
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from convarium import columns
from convarium.comparison import coverage, time_table
from convarium.comparison.digits import bounds

Row = Mapping[str, Any]

TEST, BALANCED = ("test\nacc %",), ("bal.\nacc %",)
HEADINGS = ("val\nacc %", "Δ acc (pp)\n", "bytes\n", "ratio\n")
ROOMY = ("non-\nzeros", "MACs\n")
RANK = (
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
COLOURS = {"better": "green", "worse": "red"}
VERDICTS = {
    "no test": "no test with 1 seed: the interval is that of this one network; another seed may do otherwise.",
    "not shown among": "not shown among so many rows: one row alone would show it, adjusted for all of them it is not.",
}


def show(document: Mapping[str, Any], console: Console) -> None:
    """Print a comparison (as `rows.compare` makes it) and what its columns mean."""
    rows = document["rows"]
    if not rows:
        console.print("No row to show.", highlight=False)
    for heading, group in _groups(rows):
        columns.show(console, _table(heading, group, _letters(document)), RANK)
        if time_table.has_many(group):
            columns.show(console, time_table.table(heading, group), time_table.RANK)
    for line in _notes(document):
        console.print(Text(line, style="dim"))


def _groups(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(f"{row['architecture']} on {row['dataset']}", []).append(row)
    yield from groups.items()


def _letters(document: Mapping[str, Any]) -> dict[str, str]:
    """Return a letter for each audit code; what is so in all rows with figures needs none."""
    made = [row for row in document["rows"] if row["signatures"]]
    some = [code for code in document["audit"] if any(code not in row["audit"] for row in made)]
    return dict(zip(some, ascii_lowercase, strict=False))


def _table(heading: str, rows: Sequence[Row], letters: Mapping[str, str]) -> Table:
    """Each network takes two lines: figures, then their intervals."""
    timed = any(_mean(row, "latency_ms") is not None for row in rows)
    seeds = {len(row["seeds"]) for row in rows}
    title = f"{heading}, {_seeds(*seeds)}" if len(seeds) == 1 else heading
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.show_edge = False
    table.add_column("", no_wrap=True)
    table.add_column("network", overflow="fold")
    uneven = any("uneven_classes" in row["audit"] for row in rows)
    names = TEST + (BALANCED if uneven else ()) + HEADINGS + ROOMY
    for name in names + (("latency (ms)\nspeed-up",) if timed else ()):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        extra = [_short(_mean(row, metric)) for metric in ("nonzeros", "macs")]
        table.add_row(*_cells(row, len(seeds) > 1, uneven, letters), *extra, *([_latency(row)] if timed else []))
    return table


def _cells(row: Row, with_seeds: bool, uneven: bool, letters: Mapping[str, str]) -> list[str | Text]:
    label = Text(row["label"])
    if with_seeds:
        label.append(f"\n{_seeds(len(row['seeds']))}", style="dim")
    if row["status"]:
        label.append(f"\n{row['status']}", style="yellow")
    marks = "".join(letters[code] for code in row["audit"] if code in letters)
    return [
        Text("*" if row["pareto"] else "").append(f"\n{marks}" if marks else "", style="dim"),
        label,
        _accuracy(row["metrics"]["accuracy"]),
        *([_percent(_mean(row, "balanced_accuracy"))] if uneven else []),
        _percent(_mean(row, "validation_accuracy")),
        _difference(row["versus_dense"].get("accuracy")),
        _count(_mean(row, "file_bytes")),
        _ratio(_mean(row, "ratio")),
    ]


def _seeds(count: int) -> str:
    return f"{count} seed{'' if count == 1 else 's'}"


def _notes(document: Mapping[str, Any]) -> Iterator[str]:
    rows = document["rows"]
    if rows:
        yield (
            "test acc %: mean over seeds, with the 95 % interval over seeds and test images. Δ acc (pp): test accuracy"
            " less that of the dense network of the same seed; 'better' or 'worse' only where Holm-adjusted p < 0.05;"
            f" 'no worse than {_margin(document)}' where so large a loss is refuted (one-sided, Holm's p < 0.05)."
        )
        verdicts = [entry["verdict"] for row in rows if (entry := row["versus_dense"].get("accuracy"))]
        yield from (line for verdict, line in VERDICTS.items() if any(one.startswith(verdict) for one in verdicts))
        yield "bytes: the whole file that was decoded and measured. ratio: bytes of the dense network's file / bytes."
        if xz := _xz(rows):
            yield f"For scale: xz -9e makes the dense file {' to '.join(f'{x:.2f}' for x in xz)} times smaller."
        if any(_mean(row, "latency_ms") is not None for row in rows):
            yield f"latency: one forward pass{_first(rows)}; speed-up: the dense network's / this one's, in turns."
        if time_table.has_many(rows):
            yield time_table.NOTE
        if quantizers := {one["quantized_by"] for row in rows for one in row["timings"]} - {None}:
            yield f"quantized by {', '.join(quantizers)}: 8-bit weights by scales of its own, not the stored file's."
        yield from coverage.notes(rows)
        yield "*: on a Pareto front (bytes, MACs or latency against validation accuracy) of these rows."
    letters = _letters(document)
    for code, meaning in document["audit"].items():
        yield f"{letters.get(code, 'all rows')}, {code}: {meaning}."
    if missing := document["missing"]:
        yield f"{missing} point{'s are' if missing > 1 else ' is'} not measured yet; convarium run with the same words."


def _first(rows: Sequence[Row]) -> str:
    """How the latency of the first table was taken, where there are others."""
    firsts = {(one["executor"], one["batch"]) for row in rows for one in row["timings"][:1]}
    return " of {1} under {0}".format(*firsts.pop()) if time_table.has_many(rows) and len(firsts) == 1 else ""


def _xz(rows: Sequence[Row]) -> list[float]:
    """The smallest and largest ratio, to two digits, that a general compressor reaches on the dense networks."""
    sizes = [(_mean(row, "dense_bytes"), _mean(row, "xz_bytes")) for row in rows]
    ratios = {round(dense / xz, 2) for dense, xz in sizes if dense and xz}
    return sorted({min(ratios), max(ratios)}) if ratios else []


def _mean(row: Row, metric: str) -> float | None:
    value: float | None = row["metrics"][metric]["mean"]
    return value


def _accuracy(summary: Mapping[str, float | None]) -> Text:
    text = Text(_percent(summary["mean"]))
    mean, low, high = summary["mean"], summary["low"], summary["high"]
    if mean is None or low is None or high is None:
        return text
    ends = bounds(round(100 * mean, 2), 100 * low, 100 * high, lambda value, further: f"{value:.{1 + further}f}")
    return text.append(f"\n{ends}", style="dim")


def _difference(entry: Mapping[str, Any] | None) -> Text:
    if entry is None:
        return Text("")
    text = Text(f"{100 * entry['difference']:+.2f}")
    if entry["low"] is not None:
        middle, low, high = (100 * entry[key] for key in ("difference", "low", "high"))
        text.append(f" ({bounds(round(middle, 2), low, high, _points)})")
    text.append("\n")
    verdict = entry["verdict"].removesuffix(" pp")
    text.append(verdict, style=COLOURS.get(verdict, "green" if entry.get("equivalent") else "dim"))
    return text.append(f", by < {100 * entry['margin']:g}" if verdict == "worse" and entry.get("equivalent") else "")


def _margin(document: Mapping[str, Any]) -> str:
    return f"{100 * document['margin']:g}"


def _points(value: float, further: int) -> str:
    return f"{value:+.{(2 if abs(value) < 9.95 else 1) + further}f}"


def _latency(row: Row) -> Text:
    value, ratio = _mean(row, "latency_ms"), _mean(row, "speedup")
    text = Text("" if value is None else f"{value:.3g}")
    return text if ratio is None else text.append(f"\n{ratio:.2f}x", style="dim")


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}x"


def _short(value: float | None) -> str:
    """Three digits and a unit: 431k, 2.29M."""
    if value is None:
        return ""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= 0.9995 * size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.0f}"
