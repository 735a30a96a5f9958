"""A comparison as CSV: a line for each row, units in the column names, intervals in columns of their own."""

import csv
import io
from collections.abc import Mapping
from typing import Any

from convarium.comparison.metric_names import METRICS, TIMED_METRICS
from convarium.comparison.timings import EXECUTION_METRICS

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
SIGNIFICANT_DIGITS = 10  # counts below 10^10 stay exact


def format_csv_table(document: Mapping[str, Any]) -> str:
    """Return the rows of a comparison (from `comparison_document.compare_results`) as CSV with a heading.

    Accuracies are in percent, their differences to the dense network in percentage points; `_low` and `_high` are
    bounds at 95 %. A cell is empty where nothing was measured or nothing can be concluded; several values are separated
    by spaces. Where rows were timed in several ways, columns for each executor and number of images come last. A column
    `_quantized_by` names who chose the scales of an executor's weights, where they are not the stored file's.
    """
    has_several_timings = any(len(row["timings"]) > 1 for row in document["rows"])
    lines = []
    for row in document["rows"]:
        line = _build_line(row)
        if has_several_timings:
            line |= _build_timing_cells(row)
        lines.append(line | _build_quantizer_cells(row))
    # The line of an empty row comes first: a comparison without rows has the same columns.
    empty_line = _build_line(_build_empty_row())
    columns = dict.fromkeys(column for line in (empty_line, *lines) for column in line)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _build_line(row: Mapping[str, Any]) -> dict[str, Any]:
    line = {key: row[key] for key in ("label", "status", "architecture", "dataset")}
    line["methods"] = " ".join(step["method"] for step in row["compression"])
    line["seeds_count"] = len(row["seeds"])
    line["seeds"] = " ".join(map(str, row["seeds"]))
    for metric in METRICS:
        column = COLUMN_NAMES.get(metric, metric)
        line |= _build_interval_cells(column, row["metrics"][metric], "mean", _get_scale(metric))
    difference = row["versus_dense"].get("accuracy") or {}
    line |= _build_interval_cells("test_accuracy_delta_pp", difference, "difference", PERCENT_SCALE)
    line |= {
        "test_accuracy_delta_p_holm": _format_number(difference.get("p"), 1.0),
        "test_accuracy_delta_verdict": difference.get("verdict"),
        "test_accuracy_loss_upper_bound_pp": _format_number(difference.get("loss_upper"), PERCENT_SCALE),
        "test_accuracy_delta_seeds_count": difference.get("seeds"),
    }
    line["audit"] = " ".join(row["audit"])
    line["pareto_fronts"] = " ".join(row["pareto"])
    line["signatures"] = " ".join(row["signatures"])
    return line


def _build_timing_cells(row: Mapping[str, Any]) -> dict[str, str]:
    """Return columns such as "onnxruntime_int8_16_images_latency_ms" and "onnxruntime_int8_test_accuracy_percent"."""
    cells: dict[str, str] = {}
    for timing in row["timings"]:
        executor = timing["executor"]
        setting = f"{executor}_{timing['batch']}_images"
        for key in TIMED_METRICS:
            cells[f"{setting}_{COLUMN_NAMES.get(key, key)}"] = _format_number(timing[key], 1.0)
        cells[f"{setting}_void"] = str(timing["void"]).lower()
        for key in EXECUTION_METRICS:
            cells[f"{executor}_{COLUMN_NAMES.get(key, key)}"] = _format_number(timing[key], _get_scale(key))
    return cells


def _build_quantizer_cells(row: Mapping[str, Any]) -> dict[str, str]:
    """Return columns such as "onnxruntime_int8_quantized_by", of executors that do not run the file's own values."""
    return {
        f"{timing['executor']}_quantized_by": timing["quantized_by"]
        for timing in row["timings"]
        if timing["quantized_by"]
    }


def _build_interval_cells(column: str, figures: Mapping[str, Any], center_key: str, scale: float) -> dict[str, str]:
    return {
        column: _format_number(figures.get(center_key), scale),
        f"{column}_low": _format_number(figures.get("low"), scale),
        f"{column}_high": _format_number(figures.get("high"), scale),
    }


def _format_number(value: float | None, scale: float) -> str:
    return "" if value is None else f"{scale * value:.{SIGNIFICANT_DIGITS}g}"


def _get_scale(metric: str) -> float:
    return PERCENT_SCALE if metric.endswith(("accuracy", "agreement")) else 1.0


def _build_empty_row() -> dict[str, Any]:
    texts = dict.fromkeys(("label", "status", "architecture", "dataset"), "")
    lists: dict[str, list[str]] = {key: [] for key in ("compression", "seeds", "audit", "pareto", "signatures")}
    return {**texts, **lists, "metrics": {metric: {} for metric in METRICS}, "versus_dense": {}}
