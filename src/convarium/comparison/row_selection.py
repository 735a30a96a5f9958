"""Choosing rows of a comparison: by conditions on their means, and the best one."""

from collections.abc import Mapping, Sequence
from typing import Any

from convarium.comparison import audit, timings
from convarium.comparison.pareto import SELECTION_METRICS
from convarium.comparison.result import HIGHER_IS_BETTER, METRICS, TEST_METRICS
from convarium.config.conditions import Condition, parse_condition
from convarium.config.messages import suggest_nearest
from convarium.errors import UserError

Json = dict[str, Any]
NAME_KEYS = ("architecture", "dataset", "label")
EXECUTOR_NAMES = ("eager", "compiled", "onnxruntime", "onnxruntime_int8")


def select_rows(document: Mapping[str, Any], conditions: Sequence[str]) -> Json:
    """Return the document with the rows that meet all conditions, such as "file_bytes<1e6" (of means).

    A figure under an executor is METRIC.EXECUTOR, with so many images a pass METRIC.EXECUTOR.IMAGES, such as
    "latency_ms.onnxruntime_int8.16<5"; without the number it is that of the first one listed.
    A row in which the metric was not measured does not meet the condition. A condition on a figure of the test images
    marks what it leaves "chosen_on_test"; `validation_accuracy` does not.

    Raises:
        UserError: a condition that can't be read, a metric that is unknown, or that no row has.
    """
    rows = list(document["rows"])
    for text in conditions:
        condition = _check_condition(parse_condition(text))
        _check_metric_is_measured(document["rows"], condition.key, f"'{text}'")
        rows = [_mark_selection_on_test(row, condition.key) for row in rows if _is_condition_met(condition, row)]
    return _replace_rows(document, rows)


def select_best_rows(document: Mapping[str, Any], metric: str) -> Json:
    """Return the document with its best row by `metric`, one for each dataset, ties to the first.

    Highest wins for accuracies and ratios, lowest for all else. Test accuracy is reported, never selected on: the best
    `accuracy` is that of the row with the best validation accuracy. The best `loss` is one on test, and marked so.

    Raises:
        UserError: the metric is unknown, or no row has it.
    """
    _check_metric_name(metric, METRICS, f"--best {metric}")
    by = SELECTION_METRICS.get(metric, metric)
    _check_metric_is_measured(document["rows"], by, f"--best {metric}")
    sign = -1 if by in HIGHER_IS_BETTER else 1
    chosen: dict[str, Json] = {}
    for row in sorted(document["rows"], key=lambda row: _get_sort_key(row, by, sign)):
        if _get_value(row, by) is not None:
            chosen.setdefault(row["dataset"], _mark_selection_on_test(row, by))
    return _replace_rows(document, list(chosen.values()))


def _mark_selection_on_test(row: Json, metric: str) -> Json:
    return audit.add_audit_code(row, "chosen_on_test") if metric.partition(".")[0] in TEST_METRICS else row


def _replace_rows(document: Mapping[str, Any], rows: Sequence[Json]) -> Json:
    return {**document, "audit": audit.select_explanations(rows), "rows": list(rows)}


def _get_sort_key(row: Json, metric: str, sign: int) -> float:
    value = _get_value(row, metric)
    return float("inf") if value is None else sign * value


def _check_condition(condition: Condition) -> Condition:
    """Refuse a metric that does not exist, and a comparison that its values do not know."""
    key, quoted = condition.key, f"'{condition.text}'"
    if "." in key:
        _check_executor_metric(key, quoted)
    else:
        _check_metric_name(key, (*METRICS, *NAME_KEYS), quoted)
    if key not in NAME_KEYS:
        condition.check_number()
    elif condition.is_ordering:
        raise UserError(f"{quoted}: {key} is a name; compare it with == or !=")
    return condition


def _check_executor_metric(key: str, option: str) -> None:
    """Refuse what is no METRIC.EXECUTOR or METRIC.EXECUTOR.IMAGES."""
    metric, executor, *images = key.split(".")
    _check_metric_name(metric, timings.EXECUTOR_METRICS, option)
    if executor not in EXECUTOR_NAMES:
        raise UserError(f"{option}: no executor '{executor}'{suggest_nearest(executor, EXECUTOR_NAMES)}")
    if len(images) > 1 or (images and not images[0].isdecimal()):
        raise UserError(f"{option}: write {metric}.{executor}.IMAGES, such as {metric}.{executor}.16")


def _check_metric_name(key: str, names: Sequence[str], option: str) -> None:
    if key not in names:
        raise UserError(f"{option}: no metric '{key}'{suggest_nearest(key, names)}")


def _check_metric_is_measured(rows: Sequence[Json], key: str, option: str) -> None:
    if rows and all(_get_value(row, key) is None for row in rows):
        raise UserError(f"{option}: {key} was not measured in any row{_format_measuring_hint(key)}")


def _get_value(row: Json, key: str) -> Any:
    if "." in key:
        return _get_timing_value(row["timings"], *key.split("."))
    return row[key] if key in NAME_KEYS else row["metrics"][key]["mean"]


def _get_timing_value(found: Sequence[Json], metric: str, executor: str, images: str | None = None) -> Any:
    meant = [one for one in found if one["executor"] == executor and images in (None, str(one["batch"]))]
    return meant[0][metric] if meant else None


def _format_measuring_hint(key: str) -> str:
    """How a figure that takes an executor is had."""
    if "." not in key and not key.startswith(("latency", "peak_memory")):
        return ""
    executor, _, images = key.partition(".")[2].partition(".")
    batch = f" measurement.batch_sizes=[{images}]" if images else ""
    return f"; measurement.executors=[{executor or 'eager'}]{batch} measures it"


def _is_condition_met(condition: Condition, row: Json) -> bool:
    value = _get_value(row, condition.key)
    limit = condition.value if condition.key in NAME_KEYS else condition.number
    return value is not None and condition.compare(value, limit)
