"""The table that a run ends with: a line for each point with what differs, and each reason of a failure once."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from convarium.cli.failure_words import format_state

Json = dict[str, Any]
NAMED_GROUPS = ("architecture", "dataset", "compression")  # whose options say by their names what they are
OPTION_FOLDER = re.compile(r"\w+/")
COLUMN_PRIORITY = ("accuracy", "bytes", "ratio", "status")


def print_runs(runs: Sequence[Json]) -> None:
    """Print the table of runs on stdout, and the reasons of failures on stderr."""
    from rich.table import Column, Table

    from convarium import terminal_table
    from convarium.cli import output

    status = Column("status", overflow="fold")
    overrides = Column("overrides" if len(runs) == 1 else "what differs", overflow="fold")
    table = Table("signature", status, "accuracy", "bytes", "ratio", overrides, box=None)
    for run, differing_overrides in zip(runs, select_differing_overrides(runs), strict=True):
        shown_overrides = differing_overrides if len(runs) == 1 else map(shorten_override, differing_overrides)
        metrics = run["metrics"]
        table.add_row(
            run["signature"],
            format_state(run["status"], run["cause"]),
            _format_figure(metrics["accuracy"], ".4f"),
            _format_figure(metrics["file_bytes"], ","),
            _format_figure(metrics["ratio"], ".1f"),
            " ".join(shown_overrides) or "the defaults",
        )
    terminal_table.print_fitting_table(output.build_console(), table, COLUMN_PRIORITY)
    for line in _format_failures(runs):
        output.build_console(to_stderr=True).print(line, markup=False)


def select_differing_overrides(runs: Sequence[Json]) -> list[list[str]]:
    """Return each run's overrides without those that all runs have; all overrides of a single run.

    A knob of a method is left out where all runs that have the method have the same value.
    """
    if len(runs) == 1:
        return [list(runs[0]["overrides"])]
    values_by_run = [dict(_split_override(text) for text in run["overrides"]) for run in runs]
    return [[text for text in run["overrides"] if _differs(_split_override(text)[0], values_by_run)] for run in runs]


def shorten_override(text: str) -> str:
    """Return an override so short that a point fits a line: "magnitude" for `compression=pruning/magnitude`."""
    key, value = _split_override(text)
    if text == "compression=none":
        return "dense"
    if key in NAMED_GROUPS:
        return OPTION_FOLDER.sub("", value)
    return text.removeprefix("compression.")


def _split_override(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key, value


def _differs(key: str, values_by_run: Sequence[Mapping[str, str]]) -> bool:
    is_knob = key.startswith("compression.")
    having_key = [values for values in values_by_run if key in values]
    is_partial = len(having_key) < len(values_by_run)
    return (is_partial and not is_knob) or len({values[key] for values in having_key}) > 1


def _format_failures(runs: Sequence[Json]) -> list[str]:
    """Return a line for each reason, with the number of points that it stopped."""
    statuses_by_reason: dict[str, list[str]] = {}
    for run in runs:
        if run["error"]:
            statuses_by_reason.setdefault(run["error"], []).append(format_state(run["status"], run["cause"]))
    lines = []
    for reason, statuses in statuses_by_reason.items():
        extent = f" ({len(statuses)} points)" if len(statuses) > 1 else ""
        lines.append(f"{statuses[0]}: {reason}{extent}")
    return lines


def _format_figure(value: float | None, format_spec: str) -> str:
    return "" if value is None else format(value, format_spec)
