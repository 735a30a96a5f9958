"""Conditions on stored results: on figures that were measured, and on keys of the configs that made them."""

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from math import isnan
from typing import TYPE_CHECKING, Any

from convarium.config.messages import format_value, suggest_nearest
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.store.store import Store

Json = dict[str, Any]
Record = Mapping[str, Any]
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le, ">=": operator.ge, "==": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt,
    "=": operator.eq,
}  # fmt: skip
CONDITION_PATTERN = re.compile(r"\s*([\w.]+)\s*(<=|>=|==|!=|=|<|>)\s*(.+?)\s*")
AGE_PATTERN = re.compile(r"(\d+)([smhdw])")
SECONDS_PER_UNIT = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
NAMED_GROUPS = ("architecture", "dataset", "task")  # a group alone means its name
RECORD_FIGURES = ("seconds",)
REFERENCES_KEY = "references"


@dataclass(frozen=True)
class Condition:
    """A key, a comparison, and the text it is compared with."""

    key: str
    operator_sign: str
    bound_text: str

    def is_met_by(self, values: Mapping[str, Any]) -> bool:
        """Whether the key is among the values, and its value meets the condition."""
        return self.key in values and self._is_met_by_value(values[self.key])

    def _is_met_by_value(self, value: Any) -> bool:
        bound = _parse_number(self.bound_text)
        if isinstance(value, int | float) and not isinstance(value, bool) and bound is not None:
            return OPERATORS[self.operator_sign](value, bound)
        if self.operator_sign not in ("=", "==", "!="):
            return False
        text = _normalise_value(self.bound_text)
        return OPERATORS[self.operator_sign](
            _normalise_value(value), "" if (self.key, text) == ("compression", "none") else text
        )


def select_records(store: "Store", records: Iterable[Record], texts: Sequence[str]) -> Sequence[Record]:
    """Return the records that meet all conditions, such as "accuracy>0.97" or "compression.magnitude.sparsity=0.9".

    A result without the figure, or whose config has no such key, does not meet the condition. A key that is a figure
    of any result is asked of figures only.

    Raises:
        UserError: a condition that can't be read, or of several values, or a figure or key that no result has.
    """
    conditions, found = {text: _parse_condition(text) for text in texts}, list(records)
    figures, configs = (
        set(RECORD_FIGURES).union(*(record["result"]["metrics"] for record in found)),
        ResultConfigs(store),
    )
    _refuse_unknown_keys(conditions, figures, found, configs)
    _refuse_several_values(conditions, found, configs)
    for condition in sorted(conditions.values(), key=lambda one: one.key not in figures):
        values = _collect_figures if condition.key in figures else configs.flatten_config
        found = [record for record in found if condition.is_met_by(values(record))]
    return found


def _refuse_unknown_keys(
    conditions: Mapping[str, Condition], figures: set[str], records: Sequence[Record], configs: "ResultConfigs"
) -> None:
    for text, condition in conditions.items():
        key = condition.key
        if records and key not in figures and not any(key in configs.flatten_config(record) for record in records):
            known = figures.union(*map(configs.flatten_config, records))
            raise UserError(f"'{text}': no result here has '{key}'{suggest_nearest(key, known)}")


def _refuse_several_values(
    conditions: Mapping[str, Condition], records: Sequence[Record], configs: "ResultConfigs"
) -> None:
    """Refuse a comma where no value of the key may hold one."""
    several = {text: condition for text, condition in conditions.items() if "," in condition.bound_text and records}
    for text, condition in several.items():
        if not any(_has_comma(configs.flatten_config(record).get(condition.key)) for record in records):
            one = f"{condition.key}{condition.operator_sign}{condition.bound_text.strip('[]').partition(',')[0]}"
            raise UserError(f"'{text}': a condition takes one value, such as {one}")


def _has_comma(value: Any) -> bool:
    return isinstance(value, list | dict) or (isinstance(value, str) and "," in value)


def _collect_figures(record: Record) -> Json:
    return {**{key: record[key] for key in RECORD_FIGURES}, **record["result"]["metrics"]}


class ResultConfigs:
    """What made a result, as keys are typed: `recipe.lr`, `compression.magnitude.sparsity`; parents' keys included."""

    def __init__(self, store: "Store") -> None:
        self._store = store
        self._flattened: dict[str, Json] = {}

    def flatten_config(self, record: Record) -> Json:
        """Return the keys and values of a result's config."""
        if record["signature"] not in self._flattened:
            parent = self._store.find_record(record["parents"][0]) if record["parents"] else None
            before = self.flatten_config(parent) if parent else {"compression": []}
            self._flattened[record["signature"]] = {
                **before,
                **_flatten_stage_config(record, before),
                **self._flatten_references(record),
            }
        return self._flattened[record["signature"]]

    def _flatten_references(self, record: Record) -> Json:
        """The networks that a step refers to, by the knob that named them: `compression.kd.teacher.recipe.epochs`."""
        found: Json = {}
        for name, signature in zip(record["stage_config"].get(REFERENCES_KEY, ()), record["parents"][1:], strict=False):
            knob = f"compression.{_get_method_name(record['stage_config']['step'])}.{name}"
            other = self._store.find_record(signature)
            keys = self.flatten_config(other) if other else {}
            found |= {f"{knob}.signature": signature} | {f"{knob}.{key}": value for key, value in keys.items()}
        return found


def is_name_match(name: str, pattern: str | None) -> bool:
    """Whether a name holds a text, or matches a pattern with * or ?."""
    if pattern is None:
        return True
    return fnmatchcase(name, pattern) if any(sign in pattern for sign in "*?") else pattern in name


def parse_since(text: str) -> str:
    """Return the moment that a date, a time or an age ("12h") means, as stored results tell theirs (UTC).

    Raises:
        UserError: it is neither.
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


def _flatten_stage_config(record: Record, parent_keys: Json) -> Json:
    found: Json = {}
    for group, values in record["stage_config"].items():
        if group == "step":
            name = _get_method_name(values)
            found["compression"] = [*parent_keys["compression"], name]
            found |= {f"compression.{name}.{key}": value for key, value in _iterate_leaves(values)}
            if "budget" in values:
                found[f"budget.{values['budget']['quantity']}"] = values["budget"]["value"]
        elif isinstance(values, Mapping):
            found |= {f"{group}.{key}": value for key, value in _iterate_leaves(values)}
            found |= {group: values["name"]} if group in NAMED_GROUPS and "name" in values else {}
        elif group not in parent_keys and group != REFERENCES_KEY:  # a step's seed follows from the first one
            found[group] = values
    return found


def _get_method_name(step: Record) -> str:
    name: str = step["method"].rpartition("/")[2]
    return name


def _iterate_leaves(values: Record) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from ((f"{key}.{inner}", leaf) for inner, leaf in _iterate_leaves(value))
        else:
            yield key, value


def _parse_condition(text: str) -> Condition:
    match = CONDITION_PATTERN.fullmatch(text)
    if not match:
        raise UserError(f"'{text}': write a figure or key, one of {' '.join(OPERATORS)}, and a value")
    condition = Condition(*match.groups())
    bound = _parse_number(condition.bound_text)
    if (bound is None and condition.operator_sign in ("<", ">", "<=", ">=")) or (bound is not None and isnan(bound)):
        raise UserError(f"'{text}': '{condition.bound_text}' is not a number")
    return condition


def _parse_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _normalise_value(value: Any) -> str:
    """Return a value as it would be typed, without what may be left out: spaces, quotes, brackets, groups."""
    text = (
        ",".join(map(_normalise_value, value))
        if isinstance(value, list)
        else value
        if isinstance(value, str)
        else format_value(value)
    )
    parts = text.strip().strip("[]").replace(" ", "").replace("'", "").split(",")
    return ",".join(part.rpartition("/")[2] for part in parts)
