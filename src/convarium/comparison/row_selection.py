"""Select rows of a comparison: by conditions on their means, or the best one."""

from collections.abc import Mapping, Sequence
from typing import Any

from convarium.comparison import audit, timings
from convarium.comparison.metric_names import HIGHER_IS_BETTER, METRICS, TEST_METRICS
from convarium.comparison.pareto import SELECTION_METRICS
from convarium.config.conditions import Condition, parse_condition
from convarium.config.messages import suggest_nearest
from convarium.config.suggestions import suggest_metric
from convarium.errors import UserError

Json = dict[str, Any]
NAME_KEYS = ("architecture", "dataset", "label")
EXECUTOR_NAMES = ("eager", "compiled", "onnxruntime", "onnxruntime_int8")


def select_rows(document: Mapping[str, Any], conditions: Sequence[str]) -> Json:
    """Return the document with the rows whose means meet all conditions, such as "file_bytes<1e6".

    A metric under an executor is METRIC.EXECUTOR, or METRIC.EXECUTOR.IMAGES for a number of images per pass, such as
    "latency_ms.onnxruntime_int8.16<5"; without the number it is that of the first one listed.
    A row in which the metric was not measured does not meet the condition. A condition on a metric of the test images
    marks the rows that remain "chosen_on_test"; one on `validation_accuracy` does not.

    Raises:
        UserError: a condition can't be read, or its metric is unknown or measured in no row.
    """
    rows = list(document["rows"])
    for text in conditions:
        condition = _check_condition(parse_condition(text))
        _check_metric_is_measured(document["rows"], condition.key, f"'{text}'")
        remaining_rows = [row for row in rows if _is_condition_met(condition, row)]
        rows = [_mark_selection_on_test(row, condition.key) for row in remaining_rows]
    return _replace_rows(document, rows)


def select_best_rows(document: Mapping[str, Any], metric: str) -> Json:
    """Return the document with the best row of each dataset by `metric`; of equal rows, the first.

    The highest value is best for accuracies and ratios, the lowest for all else. Test accuracy is reported, never
    selected on: the best `accuracy` is that of the row with the best validation accuracy. The best `loss` is one of
    the test images, and marked so.

    Raises:
        UserError: the metric is unknown, or measured in no row.
    """
    _check_metric_name(metric, METRICS, f"--best {metric}")
    selection_metric = SELECTION_METRICS.get(metric, metric)
    _check_metric_is_measured(document["rows"], selection_metric, f"--best {metric}")
    sign = -1 if selection_metric in HIGHER_IS_BETTER else 1
    measured_rows = [row for row in document["rows"] if _get_value(row, selection_metric) is not None]
    measured_rows.sort(key=lambda row: sign * float(_get_value(row, selection_metric)))
    best_rows: dict[str, Json] = {}
    for row in measured_rows:
        best_rows.setdefault(row["dataset"], _mark_selection_on_test(row, selection_metric))
    return _replace_rows(document, list(best_rows.values()))


def check_selection(conditions: Sequence[str], best: str | None) -> None:
    """Check what is asked for before any result is read.

    Raises:
        UserError: a condition can't be read, or a metric is unknown.
    """
    for text in conditions:
        _check_condition(parse_condition(text))
    if best is not None:
        _check_metric_name(best, METRICS, f"--best {best}")


def _mark_selection_on_test(row: Json, metric: str) -> Json:
    metric_name = metric.partition(".")[0]
    return audit.add_audit_code(row, "chosen_on_test") if metric_name in TEST_METRICS else row


def _replace_rows(document: Mapping[str, Any], rows: Sequence[Json]) -> Json:
    return {**document, "audit": audit.select_explanations(rows), "rows": list(rows)}


def _check_condition(condition: Condition) -> Condition:
    """Refuse a metric that does not exist, and an operator or value that its values can't be compared by."""
    key = condition.key
    quoted_text = f"'{condition.text}'"
    if "." in key:
        _check_executor_metric(key, quoted_text)
    else:
        _check_metric_name(key, (*METRICS, *NAME_KEYS), quoted_text)
    if key not in NAME_KEYS:
        condition.check_number()
    elif condition.is_ordering:
        raise UserError(f"{quoted_text}: {key} is a name; compare it with == or !=")
    return condition


def _check_executor_metric(key: str, option: str) -> None:
    """Refuse a key that is neither METRIC.EXECUTOR nor METRIC.EXECUTOR.IMAGES."""
    metric, executor, *images = key.split(".")
    _check_metric_name(metric, timings.EXECUTOR_METRICS, option)
    if executor not in EXECUTOR_NAMES:
        raise UserError(f"{option}: no executor '{executor}'{suggest_nearest(executor, EXECUTOR_NAMES)}")
    if len(images) > 1 or (images and not images[0].isdecimal()):
        raise UserError(f"{option}: write {metric}.{executor}.IMAGES, such as {metric}.{executor}.16")


def _check_metric_name(key: str, names: Sequence[str], option: str) -> None:
    if key not in names:
        raise UserError(f"{option}: no metric '{key}'{suggest_metric(key, names) or suggest_nearest(key, names)}")


def _check_metric_is_measured(rows: Sequence[Json], key: str, option: str) -> None:
    # A document without rows has nothing measured to select from; it stays as it is.
    if rows and all(_get_value(row, key) is None for row in rows):
        raise UserError(f"{option}: {key} was not measured in any row{_format_measuring_hint(key)}")


def _get_value(row: Json, key: str) -> Any:
    if "." in key:
        return _get_timing_value(row["timings"], *key.split("."))
    return row[key] if key in NAME_KEYS else row["metrics"][key]["mean"]


def _get_timing_value(row_timings: Sequence[Json], metric: str, executor: str, images: str | None = None) -> Any:
    for timing in row_timings:
        if timing["executor"] == executor and images in (None, str(timing["batch"])):
            return timing[metric]
    return None


def _format_measuring_hint(key: str) -> str:
    """Format the overrides that would measure a metric that needs an executor; nothing for other metrics."""
    if "." not in key and not key.startswith(("latency", "peak_memory")):
        return ""
    _, _, timing_key = key.partition(".")
    executor, _, images = timing_key.partition(".")
    batch_sizes = f" measurement.batch_sizes=[{images}]" if images else ""
    return f"; measurement.executors=[{executor or 'eager'}]{batch_sizes} measures it"


def _is_condition_met(condition: Condition, row: Json) -> bool:
    value = _get_value(row, condition.key)
    expected_value = condition.value if condition.key in NAME_KEYS else condition.number
    return value is not None and condition.compare(value, expected_value)
