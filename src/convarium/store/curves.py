"""A stage's reports, a JSON line each, in `curves.jsonl`."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

LAST_REPORT_BYTES = 4096


def build_reporter(path: Path) -> Callable[..., None]:
    """Return `report(**figures)`, which appends a line."""

    def report(**figures: Any) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(figures) + "\n")

    return report


def read_last_report(path: Path) -> dict[str, Any]:
    """Return the latest report, {} if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LAST_REPORT_BYTES))
            lines = file.read().splitlines()
        report: dict[str, Any] = json.loads(lines[-1])
    except (OSError, IndexError, ValueError):
        return {}
    return report


def read_reports(path: Path) -> list[dict[str, Any]]:
    """Return all reports, those left out that a kill cut short; [] if there are none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []
    return [report for line in lines if isinstance(report := _parse_report(line), dict)]


def remove_repeated_reports(path: Path) -> None:
    """Keep one line of each report: a stage that was killed and taken up again may have made some twice.

    Reports are the same if their words and whole numbers (phase, epoch) are; the later one counts.
    """
    if not path.exists():
        return
    kept: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        report = _parse_report(line)
        if report is None:
            continue
        kept[json.dumps({key: value for key, value in report.items() if isinstance(value, str | int)})] = line
    draft = path.with_name(f".{path.name}")
    draft.write_text("".join(f"{line}\n" for line in kept.values()), encoding="utf-8")
    draft.replace(path)


def _parse_report(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
