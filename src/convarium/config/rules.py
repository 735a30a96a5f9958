"""One small rule per value: its types, range and choices, from a type hint or from a method's YAML."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from convarium.config.messages import format_value, suggest_nearest
from convarium.errors import UserError

TYPE_NAMES = {bool: "bool", int: "int", float: "float", str: "str", list: "list", dict: "dict", NoneType: "null"}
MUST_BE_SET = "???"
TYPE_OF_NAME = {name: kind for kind, name in TYPE_NAMES.items()}
RANGE_PATTERN = re.compile(r"(-?[\d.]+?(?:e-?\d+)?)?\.\.(-?[\d.]+(?:e-?\d+)?)?")


@dataclass(frozen=True)
class Rule:
    """What a value may be; no types means any JSON value. The hint is told to who breaks it.

    `item_rule` is what the items of a list may be; without one they are held to the list's own range.
    """

    types: frozenset[type] = frozenset()
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] = field(default=())
    hint: str = ""
    item_rule: "Rule | None" = None

    def __str__(self) -> str:
        return self._format_expected() + (f" ({self.hint})" if self.hint else "")

    def _format_expected(self) -> str:
        if self.choices:
            return f"one of {', '.join(format_value(choice) for choice in self.choices)}"
        kinds = " or ".join(sorted(TYPE_NAMES[kind] for kind in self.types))
        kinds += f" of {self.item_rule}" if self.item_rule and self.item_rule.types else ""
        low, high = self.low, self.high
        if low is not None and high is not None:
            return f"{kinds} from {low:g} to {high:g}"
        if low is not None:
            return f"{kinds} of at least {low:g}"
        return kinds if high is None else f"{kinds} of at most {high:g}"


def parse_type_hint(hint: Any) -> Rule:
    """Return the rule of a dataclass field; `Annotated[int, "1.."]` carries a range as a method's YAML would."""
    if get_origin(hint) is Annotated:
        inner, text = get_args(hint)[:2]
        return _parse_rule_text(parse_type_hint(inner), text)
    if get_origin(hint) is Literal:
        return Rule(types=frozenset(type(choice) for choice in get_args(hint)), choices=get_args(hint))
    if get_origin(hint) in (Union, UnionType):
        parts = [parse_type_hint(part) for part in get_args(hint)]
        choices = tuple(choice for part in parts for choice in part.choices)
        optional = (None,) if choices and any(NoneType in part.types for part in parts) else ()
        return _merge_rules(parts, choices + optional)
    if get_origin(hint) is list:
        return Rule(types=frozenset({list}), item_rule=parse_type_hint(get_args(hint)[0]))
    return Rule() if hint is Any else Rule(types=frozenset({get_origin(hint) or hint}))


def parse_knob_rule(default: Any, entry: Any, where: str) -> Rule:
    """Return the rule of an open set's knob: the default's type is the type, `entry` is its line in `_check_`.

    An entry is a list of choices, or words: a range (`0..1`, `1..`), types (`int? float? str? dict list`), and after a
    semicolon a hint. A default of null, or `???` (which the user must set), takes the types that its entry names.
    """
    if default == MUST_BE_SET or (default is None and entry is None):
        kinds: frozenset[type] = frozenset()
    else:
        kinds = frozenset({type(default)})
    if isinstance(entry, Sequence) and not isinstance(entry, str):
        return Rule(types=kinds, choices=(*entry, *((None,) if default is None and None not in entry else ())))
    try:
        return _parse_rule_text(Rule(types=kinds), "" if entry is None else str(entry))
    except (KeyError, ValueError):
        raise UserError(
            f"{where}: can't read '{entry}' in its _check_: write a range (0..1), choices ([a, b]) or types (int? 1..)"
        ) from None


@cache
def _parse_rule_text(rule: Rule, text: str) -> Rule:
    text, _, hint = text.partition(";")
    rule = replace(rule, hint=hint.strip())
    for word in re.split(r"[|,\s]+", text.strip()) if text.strip() else ():
        if match := RANGE_PATTERN.fullmatch(word):
            low, high = (None if end is None else float(end) for end in match.groups())
            rule = replace(rule, low=low, high=high)
        else:
            kinds = {TYPE_OF_NAME[word.rstrip("?")], *({NoneType} if word.endswith("?") else ())}
            rule = replace(rule, types=rule.types | kinds)
    if text and rule.types <= {NoneType}:
        raise ValueError("a range without a type")
    return rule


def _merge_rules(parts: Sequence[Rule], choices: tuple[Any, ...]) -> Rule:
    ranged = next((part for part in parts if part.low is not None or part.high is not None), Rule())
    return Rule(frozenset().union(*(part.types for part in parts)), ranged.low, ranged.high, choices)


def check_value(value: Any, rule: Rule, where: str) -> Any:
    """Return `value` as the rule's type (1 becomes 1.0 where a float is due).

    Raises:
        UserError: another type, out of range, none of the choices, NaN, or not JSON; names the override and the rule.
    """
    if rule.choices:
        return _check_choice(value, rule, where)
    if rule.types and type(value) is int and int not in rule.types and float in rule.types:
        value = float(value)
    if rule.types and type(value) not in rule.types:
        told = repr(value) if isinstance(value, str) else format_value(value)
        raise UserError(f"{where}={told} is {TYPE_NAMES.get(type(value), 'no JSON value')}, expected {rule}")
    if isinstance(value, (dict, list)):
        return _check_items(value, rule, where)
    _check_number(value, rule, where)
    return value


def _check_choice(value: Any, rule: Rule, where: str) -> Any:
    for choice in rule.choices:
        if type(choice) is type(value) and choice == value:
            return choice
        if isinstance(choice, str) and type(value) in (int, float) and str(value) == choice:
            return choice
    words = [choice for choice in rule.choices if isinstance(choice, str)]
    near = suggest_nearest(value, words) if isinstance(value, str) else ""
    raise UserError(f"{where}={format_value(value)}: expected {rule}{near if 'did you' in near else ''}")


def _check_items(value: Any, rule: Rule, where: str) -> Any:
    inner = rule.item_rule or Rule(low=rule.low, high=rule.high, hint=rule.hint)
    if isinstance(value, list):
        return [check_value(item, inner, f"{where}[{index}]") for index, item in enumerate(value)]
    if wrong := [key for key in value if not isinstance(key, str)]:
        raise UserError(f"{where}: the key {format_value(wrong[0])} is not text, quote it")
    return {key: check_value(item, inner, f"{where}.{key}") for key, item in value.items()}


def _check_number(value: Any, rule: Rule, where: str) -> None:
    if type(value) not in TYPE_NAMES:
        raise UserError(f"{where}={format_value(value)} is no JSON value (int, float, str, bool, null, list, dict)")
    if type(value) not in (int, float):
        return
    if not math.isfinite(value):
        raise UserError(f"{where}={value} is not a finite number")
    if (rule.low is not None and value < rule.low) or (rule.high is not None and value > rule.high):
        expected = replace(rule, types=rule.types or frozenset({type(value)}))
        raise UserError(f"{where}={format_value(value)} is out of range, expected {expected}")


def check_known_keys(values: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    """Raise UserError for the first key of `values` that is none of `keys`."""
    for key in values:
        if key not in keys:
            raise UserError(f"{where}.{key}: no such key{suggest_nearest(str(key), keys)}".lstrip("."))
