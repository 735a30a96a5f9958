"""Choosing rows of a comparison: by conditions on their means, and the best one."""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from convarium.comparison import audit, timings
from convarium.comparison.pareto import SELECTION
from convarium.comparison.result import HIGHER_IS_BETTER, METRICS, ON_TEST
from convarium.config.words import suggestion
from convarium.errors import UserError

Json = dict[str, Any]
NAMES = ("architecture", "dataset", "label")
EXECUTORS = ("eager", "compiled", "onnxruntime", "onnxruntime_int8")
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le, ">=": operator.ge, "==": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt,
}  # fmt: skip
CONDITION = re.compile(r"\s*([\w.]+)\s*(<=|>=|==|!=|<|>)\s*(.+?)\s*")


def where(document: Mapping[str, Any], conditions: Sequence[str]) -> Json:
    """Return the document with the rows that meet all conditions, such as "file_bytes<1e6" (of means).

    A figure under an executor is METRIC.EXECUTOR, with so many images a pass METRIC.EXECUTOR.IMAGES, such as
    "latency_ms.onnxruntime_int8.16<5"; without the number it is that of the first one listed.
    A row in which the metric was not measured does not meet the condition. A condition on a figure of the test images
    marks what it leaves "chosen_on_test"; `validation_accuracy` does not.

    Raises:
        UserError: a condition that can't be read, a metric that is unknown, or that no row has.
    """
    rows = list(document["rows"])
    for condition in conditions:
        key, compare, value = _parsed(condition)
        _measured(document["rows"], key, f"--where '{condition}'")
        rows = [_chosen(row, key) for row in rows if _meets(_get(row, key), compare, value)]
    return _with(document, rows)


def best(document: Mapping[str, Any], metric: str) -> Json:
    """Return the document with its best row by `metric`, one for each dataset, ties to the first.

    Highest wins for accuracies and ratios, lowest for all else. Test accuracy is reported, never selected on: the best
    `accuracy` is that of the row with the best validation accuracy. The best `loss` is one on test, and marked so.

    Raises:
        UserError: the metric is unknown, or no row has it.
    """
    _known(metric, METRICS, f"--best {metric}")
    by = SELECTION.get(metric, metric)
    _measured(document["rows"], by, f"--best {metric}")
    sign = -1 if by in HIGHER_IS_BETTER else 1
    chosen: dict[str, Json] = {}
    for row in sorted(document["rows"], key=lambda row: _worst_last(row, by, sign)):
        if _get(row, by) is not None:
            chosen.setdefault(row["dataset"], _chosen(row, by))
    return _with(document, list(chosen.values()))


def _chosen(row: Json, metric: str) -> Json:
    return audit.marked(row, "chosen_on_test") if metric.partition(".")[0] in ON_TEST else row


def _with(document: Mapping[str, Any], rows: Sequence[Json]) -> Json:
    return {**document, "audit": audit.legend(rows), "rows": list(rows)}


def _worst_last(row: Json, metric: str, sign: int) -> float:
    value = _get(row, metric)
    return float("inf") if value is None else sign * value


def _parsed(condition: str) -> tuple[str, Callable[[Any, Any], bool], Any]:
    match = CONDITION.fullmatch(condition)
    if not match:
        raise UserError(f"--where '{condition}': write a metric, one of {' '.join(OPERATORS)}, and a number")
    key, sign, text = match.groups()
    if "." in key:
        _timed(key, f"--where '{condition}'")
    else:
        _known(key, (*METRICS, *NAMES), f"--where '{condition}'")
    if key in NAMES:
        if sign not in ("==", "!="):
            raise UserError(f"--where '{condition}': {key} is a name; compare it with == or !=")
        return key, OPERATORS[sign], text
    try:
        return key, OPERATORS[sign], float(text)
    except ValueError:
        raise UserError(f"--where '{condition}': '{text}' is not a number") from None


def _timed(key: str, where: str) -> None:
    """Refuse what is no METRIC.EXECUTOR or METRIC.EXECUTOR.IMAGES."""
    metric, executor, *images = key.split(".")
    _known(metric, timings.FIGURES, where)
    if executor not in EXECUTORS:
        raise UserError(f"{where}: no executor '{executor}'{suggestion(executor, EXECUTORS)}")
    if len(images) > 1 or (images and not images[0].isdecimal()):
        raise UserError(f"{where}: write {metric}.{executor}.IMAGES, such as {metric}.{executor}.16")


def _known(key: str, names: Sequence[str], where: str) -> None:
    if key not in names:
        raise UserError(f"{where}: no metric '{key}'{suggestion(key, names)}")


def _measured(rows: Sequence[Json], key: str, where: str) -> None:
    if rows and all(_get(row, key) is None for row in rows):
        raise UserError(f"{where}: {key} was not measured in any row{_hint(key)}")


def _get(row: Json, key: str) -> Any:
    if "." in key:
        return _timing(row["timings"], *key.split("."))
    return row[key] if key in NAMES else row["metrics"][key]["mean"]


def _timing(found: Sequence[Json], metric: str, executor: str, images: str | None = None) -> Any:
    meant = [one for one in found if one["executor"] == executor and images in (None, str(one["batch"]))]
    return meant[0][metric] if meant else None


def _hint(key: str) -> str:
    """How a figure that takes an executor is had."""
    if "." not in key and not key.startswith(("latency", "peak_memory")):
        return ""
    executor, _, images = key.partition(".")[2].partition(".")
    batch = f" measurement.batch_sizes=[{images}]" if images else ""
    return f"; measurement.executors=[{executor or 'eager'}]{batch} measures it"


def _meets(value: Any, compare: Callable[[Any, Any], bool], bound: Any) -> bool:
    return value is not None and compare(value, bound)
