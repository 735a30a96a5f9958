"""A stage's reports (loss and accuracy of an epoch), a line of JSON each, in `curves.jsonl`."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

LAST_REPORT_BYTES = 4096  # far more than one report takes; progress asks again and again for the last one alone


def build_reporter(path: Path) -> Callable[..., None]:
    """Return `report(**figures)`, which appends a line to the file at `path`."""

    def report(**figures: Any) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(figures) + "\n")

    return report


def read_last_report(path: Path) -> dict[str, Any]:
    """Return the latest report, {} if there is none or its line is not complete yet."""
    try:
        with path.open("rb") as file:
            file_size = os.fstat(file.fileno()).st_size
            file.seek(max(0, file_size - LAST_REPORT_BYTES))
            lines = file.read().splitlines()
        report: dict[str, Any] = json.loads(lines[-1])
    except (OSError, IndexError, ValueError):
        return {}
    return report


def read_reports(path: Path) -> list[dict[str, Any]]:
    """Return all reports but those that a kill cut short; [] if there are none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []
    values = [_parse_line(line) for line in lines]
    return [value for value in values if isinstance(value, dict)]


def remove_repeated_reports(path: Path) -> None:
    """Keep one line of each report: a stage that was killed and resumed may have written some twice.

    Reports are the same if their words and whole numbers (phase, epoch) are; the later one counts.
    """
    if not path.exists():
        return
    lines_by_identity: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        report = _parse_line(line)
        if not isinstance(report, dict):
            continue
        identity = {key: value for key, value in report.items() if isinstance(value, str | int)}
        lines_by_identity[json.dumps(identity)] = line
    text = "".join(f"{line}\n" for line in lines_by_identity.values())
    draft = path.with_name(f".{path.name}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _parse_line(line: str) -> Any:
    """Return the JSON value of a line, None where a kill cut the line short."""
    try:
        return json.loads(line)
    except ValueError:
        return None
