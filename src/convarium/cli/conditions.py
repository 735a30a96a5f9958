"""Conditions on stored results: on figures that were measured, and on keys of the configs that made them."""

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from math import isnan
from typing import TYPE_CHECKING, Any

from convarium.config.words import shown, suggestion
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.store.store import Store

Json = dict[str, Any]
Done = Mapping[str, Any]
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le, ">=": operator.ge, "==": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt,
    "=": operator.eq,
}  # fmt: skip
CONDITION = re.compile(r"\s*([\w.]+)\s*(<=|>=|==|!=|=|<|>)\s*(.+?)\s*")
AGE = re.compile(r"(\d+)([smhdw])")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
NAMED = ("architecture", "dataset", "task")  # a group alone means its name
OWN = ("seconds",)
REFERENCES = "references"


@dataclass(frozen=True)
class Condition:
    """A key, a comparison, and the text it is compared with."""

    key: str
    sign: str
    text: str

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether the key is among the values, and its value meets the condition."""
        return self.key in values and self._meets(values[self.key])

    def _meets(self, value: Any) -> bool:
        bound = _number(self.text)
        if isinstance(value, int | float) and not isinstance(value, bool) and bound is not None:
            return OPERATORS[self.sign](value, bound)
        if self.sign not in ("=", "==", "!="):
            return False
        text = _plain(self.text)
        return OPERATORS[self.sign](_plain(value), "" if (self.key, text) == ("compression", "none") else text)


def chosen(store: "Store", records: Iterable[Done], texts: Sequence[str]) -> Sequence[Done]:
    """Return the records that meet all conditions, such as "accuracy>0.97" or "compression.magnitude.sparsity=0.9".

    A result without the figure, or whose config has no such key, does not meet the condition. A key that is a figure
    of any result is asked of figures only.

    Raises:
        UserError: a condition that can't be read, or of several values, or a figure or key that no result has.
    """
    conditions, found = {text: _parsed(text) for text in texts}, list(records)
    figures, configs = set(OWN).union(*(record["result"]["metrics"] for record in found)), Configs(store)
    _refuse_unknown(conditions, figures, found, configs)
    _refuse_several(conditions, found, configs)
    for condition in sorted(conditions.values(), key=lambda one: one.key not in figures):
        values = _figures if condition.key in figures else configs.of
        found = [record for record in found if condition.holds(values(record))]
    return found


def _refuse_unknown(
    conditions: Mapping[str, Condition], figures: set[str], records: Sequence[Done], configs: "Configs"
) -> None:
    for text, condition in conditions.items():
        key = condition.key
        if records and key not in figures and not any(key in configs.of(record) for record in records):
            known = figures.union(*map(configs.of, records))
            raise UserError(f"'{text}': no result here has '{key}'{suggestion(key, known)}")


def _refuse_several(conditions: Mapping[str, Condition], records: Sequence[Done], configs: "Configs") -> None:
    """Refuse a comma where no value of the key may hold one."""
    several = {text: condition for text, condition in conditions.items() if "," in condition.text and records}
    for text, condition in several.items():
        if not any(_holds_comma(configs.of(record).get(condition.key)) for record in records):
            one = f"{condition.key}{condition.sign}{condition.text.strip('[]').partition(',')[0]}"
            raise UserError(f"'{text}': a condition takes one value, such as {one}")


def _holds_comma(value: Any) -> bool:
    return isinstance(value, list | dict) or (isinstance(value, str) and "," in value)


def _figures(done: Done) -> Json:
    return {**{key: done[key] for key in OWN}, **done["result"]["metrics"]}


class Configs:
    """What made a result, as keys are typed: `recipe.lr`, `compression.magnitude.sparsity`; parents' keys included."""

    def __init__(self, store: "Store") -> None:
        self._store = store
        self._found: dict[str, Json] = {}

    def of(self, done: Done) -> Json:
        """Return the keys and values of a result's config."""
        if done["signature"] not in self._found:
            parent = self._store.done(done["parents"][0]) if done["parents"] else None
            before = self.of(parent) if parent else {"compression": []}
            self._found[done["signature"]] = {**before, **_own(done, before), **self._others(done)}
        return self._found[done["signature"]]

    def _others(self, done: Done) -> Json:
        """The networks that a step refers to, by the knob that named them: `compression.kd.teacher.recipe.epochs`."""
        found: Json = {}
        for name, signature in zip(done["stage_config"].get(REFERENCES, ()), done["parents"][1:], strict=False):
            knob = f"compression.{_method(done['stage_config']['step'])}.{name}"
            other = self._store.done(signature)
            keys = self.of(other) if other else {}
            found |= {f"{knob}.signature": signature} | {f"{knob}.{key}": value for key, value in keys.items()}
        return found


def named(name: str, pattern: str | None) -> bool:
    """Whether a name holds a text, or matches a pattern with * or ?."""
    if pattern is None:
        return True
    return fnmatchcase(name, pattern) if any(sign in pattern for sign in "*?") else pattern in name


def since(text: str) -> str:
    """Return the moment that a date, a time or an age ("12h") means, as stored results tell theirs (UTC).

    Raises:
        UserError: it is neither.
    """
    age = AGE.fullmatch(text)
    try:
        if age:
            moment = datetime.now(UTC) - timedelta(seconds=int(age[1]) * SECONDS[age[2]])
        else:
            moment = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UserError(f"--since {text}: expected a date such as 2026-05-01, or an age such as 12h or 7d") from None
    return moment.isoformat(timespec="milliseconds")


def _own(done: Done, before: Json) -> Json:
    found: Json = {}
    for group, values in done["stage_config"].items():
        if group == "step":
            name = _method(values)
            found["compression"] = [*before["compression"], name]
            found |= {f"compression.{name}.{key}": value for key, value in _leaves(values)}
            if "budget" in values:
                found[f"budget.{values['budget']['quantity']}"] = values["budget"]["value"]
        elif isinstance(values, Mapping):
            found |= {f"{group}.{key}": value for key, value in _leaves(values)}
            found |= {group: values["name"]} if group in NAMED and "name" in values else {}
        elif group not in before and group != REFERENCES:  # a step's seed follows from the first one
            found[group] = values
    return found


def _method(step: Done) -> str:
    name: str = step["method"].rpartition("/")[2]
    return name


def _leaves(values: Done) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from ((f"{key}.{inner}", leaf) for inner, leaf in _leaves(value))
        else:
            yield key, value


def _parsed(text: str) -> Condition:
    match = CONDITION.fullmatch(text)
    if not match:
        raise UserError(f"'{text}': write a figure or key, one of {' '.join(OPERATORS)}, and a value")
    condition = Condition(*match.groups())
    bound = _number(condition.text)
    if (bound is None and condition.sign in ("<", ">", "<=", ">=")) or (bound is not None and isnan(bound)):
        raise UserError(f"'{text}': '{condition.text}' is not a number")
    return condition


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _plain(value: Any) -> str:
    """Return a value as it would be typed, without what may be left out: spaces, quotes, brackets, groups."""
    text = (
        ",".join(map(_plain, value)) if isinstance(value, list) else value if isinstance(value, str) else shown(value)
    )
    parts = text.strip().strip("[]").replace(" ", "").replace("'", "").split(",")
    return ",".join(part.rpartition("/")[2] for part in parts)
