"""Selection of stored results: by measured figures, by keys of their configs, by name and by age."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from convarium.cli.result_configs import ResultConfigs
from convarium.config.conditions import Condition, parse_condition
from convarium.config.messages import format_value, suggest_nearest
from convarium.config.point import POINT_KEYS
from convarium.config.suggestions import suggest_metric
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.store.store import Store

Json = dict[str, Any]
Record = Mapping[str, Any]
AGE_PATTERN = re.compile(r"(\d+)([smhdw])")
SECONDS_PER_UNIT = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
RECORD_FIGURES = ("seconds",)


def select_records(store: "Store", records: Iterable[Record], texts: Sequence[str]) -> Sequence[Record]:
    """Return the records that meet all conditions, such as "accuracy>0.97" or "compression.magnitude.sparsity=0.9".

    A result without the figure, or whose config has no such key, does not meet the condition. A key that is a figure of
    any result is looked up among figures only.

    Raises:
        UserError: a condition that can't be read, or of several values, or a figure or key that no result has.
    """
    conditions = [_check_condition(parse_condition(text)) for text in texts]
    selected = list(records)
    figures = set(RECORD_FIGURES).union(*(record["result"]["metrics"] for record in selected))
    configs = ResultConfigs(store)
    _refuse_unknown_keys(conditions, figures, selected, configs)
    _refuse_several_values(conditions, selected, configs)
    # Figures first: they are at hand, while a config has to be put together from all stages before.
    for condition in sorted(conditions, key=lambda condition: condition.key not in figures):
        read_values = _collect_figures if condition.key in figures else configs.flatten_config
        selected = [record for record in selected if _is_condition_met(condition, read_values(record))]
    return selected


def _check_condition(condition: Condition) -> Condition:
    if condition.is_ordering:
        condition.check_number()
    return condition


def _refuse_unknown_keys(
    conditions: Iterable[Condition], figures: set[str], records: Sequence[Record], configs: ResultConfigs
) -> None:
    for condition in conditions:
        key = condition.key
        if key in figures or any(key in configs.flatten_config(record) for record in records):
            continue
        all_keys = figures.union(*map(configs.flatten_config, records))
        if not records:  # nothing is stored to ask: what a result could have
            from convarium.comparison.metric_names import METRICS

            if key.partition(".")[0] in POINT_KEYS or key in METRICS:
                continue
            all_keys = {*figures, *METRICS, *POINT_KEYS}
        hint = suggest_metric(key, all_keys) or suggest_nearest(key, all_keys)
        raise UserError(f"'{condition.text}': no result here has '{key}'{hint}")


def _refuse_several_values(conditions: Iterable[Condition], records: Sequence[Record], configs: ResultConfigs) -> None:
    """Refuse a comma where no value of the key may hold one."""
    for condition in conditions:
        if "," not in condition.value or not records:
            continue
        if not any(_has_comma(configs.flatten_config(record).get(condition.key)) for record in records):
            first_value = condition.value.strip("[]").partition(",")[0]
            example = f"{condition.key}{condition.operator}{first_value}"
            raise UserError(f"'{condition.text}': a condition takes one value, such as {example}")


def _has_comma(value: Any) -> bool:
    return isinstance(value, list | dict) or (isinstance(value, str) and "," in value)


def _collect_figures(record: Record) -> Json:
    return {**{key: record[key] for key in RECORD_FIGURES}, **record["result"]["metrics"]}


def _is_condition_met(condition: Condition, values: Mapping[str, Any]) -> bool:
    """Whether the key is among the values, and its value meets the condition."""
    if condition.key not in values:
        return False
    value, number = values[condition.key], condition.number
    if isinstance(value, int | float) and not isinstance(value, bool) and number is not None:
        return condition.compare(value, number)
    if condition.is_ordering:
        return False
    expected = _normalise_value(condition.value)
    if condition.key == "compression" and expected == "none":
        expected = ""  # as an empty list of steps is written
    return condition.compare(_normalise_value(value), expected)


def is_name_match(name: str, pattern: str | None) -> bool:
    """Whether a name holds a text, or matches a pattern with * or ?."""
    if pattern is None:
        return True
    return fnmatchcase(name, pattern) if any(sign in pattern for sign in "*?") else pattern in name


def parse_since(text: str) -> str:
    """Return the moment of a date, a time or an age ("12h"), in the format of stored results (UTC).

    Raises:
        UserError: it is none of these.
    """
    age = AGE_PATTERN.fullmatch(text)
    try:
        if age:
            moment = datetime.now(UTC) - timedelta(seconds=int(age[1]) * SECONDS_PER_UNIT[age[2]])
        else:
            moment = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UserError(f"--since {text}: expected a date such as 2026-05-01, or an age such as 12h or 7d") from None
    return moment.isoformat(timespec="milliseconds")


def _normalise_value(value: Any) -> str:
    """Return a value as it would be typed, without what may be left out: spaces, quotes, brackets, groups."""
    if isinstance(value, list):
        text = ",".join(map(_normalise_value, value))
    elif isinstance(value, str):
        text = value
    else:
        text = format_value(value)
    parts = text.strip().strip("[]").replace(" ", "").replace("'", "").split(",")
    return ",".join(part.rpartition("/")[2] for part in parts)
