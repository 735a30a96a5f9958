"""A comparison as CSV: a line a row, units in the columns' names, intervals in columns of their own."""

import csv
import io
from collections.abc import Mapping
from typing import Any

from convarium.comparison.result import METRICS
from convarium.comparison.timings import EXECUTION_METRICS, TIMING_METRICS

COLUMN_NAMES = {
    "accuracy": "test_accuracy_percent",
    "validation_accuracy": "validation_accuracy_percent",
    "balanced_accuracy": "test_balanced_accuracy_percent",
    "validation_balanced_accuracy": "validation_balanced_accuracy_percent",
    "loss": "test_loss_nats",
    "dense_bytes": "dense_file_bytes",
    "ratio": "dense_file_bytes_per_file_byte",
    "xz_bytes": "dense_file_xz_bytes",
    "parameters": "parameters_count",
    "nonzeros": "nonzero_parameters_count",
    "macs": "macs_per_image_count",
    "speedup": "speedup_times",
    "agreement": "classified_as_eager_percent",
}
PERCENT_SCALE = 100.0
SIGNIFICANT_DIGITS = 10


def format_csv_table(document: Mapping[str, Any]) -> str:
    """Return the rows of a comparison (as `rows.compare_results` makes it) as CSV with a heading.

    Accuracies are in percent, their differences to the dense network in percentage points; `_low` and `_high` are
    bounds at 95 %. A cell is empty where nothing was measured or can be said; several values are parted by blanks.
    Where rows were timed in several ways, columns for each executor and number of images come last; those of executors
    that give weights scales of their own say whose.
    """
    several = any(len(row["timings"]) > 1 for row in document["rows"])
    lines = [
        _build_line(row) | (_build_timing_cells(row) if several else {}) | _build_quantizer_cells(row)
        for row in document["rows"]
    ]
    columns = dict.fromkeys(column for line in (_build_line(_build_empty_row()), *lines) for column in line)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _build_line(row: Mapping[str, Any]) -> dict[str, Any]:
    line = {key: row[key] for key in ("label", "status", "architecture", "dataset")}
    line |= {"methods": " ".join(step["method"] for step in row["compression"])}
    line |= {"seeds_count": len(row["seeds"]), "seeds": " ".join(map(str, row["seeds"]))}
    for metric in METRICS:
        line |= _build_interval_cells(
            COLUMN_NAMES.get(metric, metric), row["metrics"][metric], "mean", _get_scale(metric)
        )
    difference = row["versus_dense"].get("accuracy") or {}
    line |= _build_interval_cells("test_accuracy_delta_pp", difference, "difference", PERCENT_SCALE)
    line |= {
        "test_accuracy_delta_p_holm": _format_number(difference.get("p"), 1.0),
        "test_accuracy_delta_verdict": difference.get("verdict"),
        "test_accuracy_loss_upper_bound_pp": _format_number(difference.get("loss_upper"), PERCENT_SCALE),
        "test_accuracy_delta_seeds_count": difference.get("seeds"),
    }
    joined = {"audit": "audit", "pareto_fronts": "pareto", "signatures": "signatures"}
    return line | {column: " ".join(row[key]) for column, key in joined.items()}


def _build_timing_cells(row: Mapping[str, Any]) -> dict[str, str]:
    """Return columns such as "onnxruntime_int8_16_images_latency_ms" and "onnxruntime_int8_test_accuracy_percent"."""
    cells: dict[str, str] = {}
    for timing in row["timings"]:
        of = timing["executor"]
        clocked = f"{of}_{timing['batch']}_images"
        cells |= {f"{clocked}_{COLUMN_NAMES.get(key, key)}": _format_number(timing[key], 1.0) for key in TIMING_METRICS}
        cells |= {f"{clocked}_void": str(timing["void"]).lower()}
        cells |= {
            f"{of}_{COLUMN_NAMES.get(key, key)}": _format_number(timing[key], _get_scale(key))
            for key in EXECUTION_METRICS
        }
    return cells


def _build_quantizer_cells(row: Mapping[str, Any]) -> dict[str, str]:
    """Return columns such as "onnxruntime_int8_quantized_by", of executors that do not run the file's own values."""
    return {
        f"{timing['executor']}_quantized_by": timing["quantized_by"]
        for timing in row["timings"]
        if timing["quantized_by"]
    }


def _build_interval_cells(column: str, figures: Mapping[str, Any], middle: str, scale: float) -> dict[str, str]:
    parts = {column: middle, f"{column}_low": "low", f"{column}_high": "high"}
    return {name: _format_number(figures.get(key), scale) for name, key in parts.items()}


def _format_number(value: float | None, scale: float) -> str:
    return "" if value is None else f"{scale * value:.{SIGNIFICANT_DIGITS}g}"


def _get_scale(metric: str) -> float:
    return PERCENT_SCALE if metric.endswith(("accuracy", "agreement")) else 1.0


def _build_empty_row() -> dict[str, Any]:
    texts = dict.fromkeys(("label", "status", "architecture", "dataset"), "")
    lists: dict[str, list[str]] = {key: [] for key in ("compression", "seeds", "audit", "pareto", "signatures")}
    return {**texts, **lists, "metrics": {metric: {} for metric in METRICS}, "versus_dense": {}}
