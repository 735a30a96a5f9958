"""Rules of values: types, range and choices, parsed from a type hint or from a method's YAML."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from convarium.config.messages import format_value, suggest_nearest
from convarium.config.suggestions import suggest_number, suggest_value
from convarium.errors import UserError

TYPE_NAMES = {bool: "bool", int: "int", float: "float", str: "str", list: "list", dict: "dict", NoneType: "null"}
MUST_BE_SET = "???"
TYPE_OF_NAME = {name: kind for kind, name in TYPE_NAMES.items()}
# The lower end is matched lazily, so that `0...5` ends at .5.
RANGE_PATTERN = re.compile(r"(-?[\d.]+?(?:e-?\d+)?)?\.\.(-?[\d.]+(?:e-?\d+)?)?")


@dataclass(frozen=True)
class Rule:
    """What a value may be.

    Attributes:
        types: none means any JSON value.
        hint: what an error message adds to what was expected.
        item_rule: the rule of a list's items; without one the list's own range applies to them.
    """

    types: frozenset[type] = frozenset()
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] = field(default=())
    hint: str = ""
    item_rule: "Rule | None" = None

    def __str__(self) -> str:
        expected = self._format_expected()
        return f"{expected} ({self.hint})" if self.hint else expected

    def _format_expected(self) -> str:
        if self.choices:
            return f"one of {', '.join(format_value(choice) for choice in self.choices)}"
        text = " or ".join(sorted(TYPE_NAMES[value_type] for value_type in self.types))
        if self.item_rule and self.item_rule.types:
            text += f" of {self.item_rule}"
        low, high = self.low, self.high
        if low is not None and high is not None:
            return f"{text} from {low:g} to {high:g}"
        if low is not None:
            return f"{text} of at least {low:g}"
        return text if high is None else f"{text} of at most {high:g}"


def parse_type_hint(hint: Any) -> Rule:
    """Return the rule of a dataclass field; `Annotated[int, "1.."]` carries a range as a method's YAML would."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        inner_hint, text = arguments[:2]
        return _parse_rule_text(parse_type_hint(inner_hint), text)
    if origin is Literal:
        return Rule(types=frozenset(type(choice) for choice in arguments), choices=arguments)
    if origin in (Union, UnionType):
        return _merge_rules([parse_type_hint(argument) for argument in arguments])
    if origin is list:
        return Rule(types=frozenset({list}), item_rule=parse_type_hint(arguments[0]))
    if hint is Any:
        return Rule()
    return Rule(types=frozenset({origin or hint}))


def parse_knob_rule(default: Any, check: Any, where: str) -> Rule:
    """Return the rule of an open set's knob: the default's type is the type, `check` is its entry in `_check_`.

    An entry is a list of choices, or words: a range (`0..1`, `1..`), types (`int? float? str? dict list`), and after a
    semicolon a hint. A default of null, or `???` (which the user must set), takes the types that its entry names.
    """
    types: frozenset[type] = frozenset({type(default)})
    if default == MUST_BE_SET or (default is None and check is None):
        types = frozenset()
    if isinstance(check, list | tuple):
        choices = tuple(check)
        if default is None and None not in choices:
            choices += (None,)
        return Rule(types=types, choices=choices)
    try:
        return _build_knob_rule(types, "" if check is None else str(check))
    except (KeyError, ValueError):
        raise UserError(
            f"{where}: can't read '{check}' in its _check_: write a range (0..1), choices ([a, b]) or types (int? 1..)"
        ) from None


@cache
def _build_knob_rule(types: frozenset[type], text: str) -> Rule:
    return _parse_rule_text(Rule(types=types), text)


def _parse_rule_text(rule: Rule, text: str) -> Rule:
    text, _, hint = text.partition(";")
    rule = replace(rule, hint=hint.strip())
    words = re.split(r"[|,\s]+", text.strip()) if text.strip() else []
    for word in words:
        match = RANGE_PATTERN.fullmatch(word)
        if match:
            low, high = (None if end is None else float(end) for end in match.groups())
            rule = replace(rule, low=low, high=high)
        else:
            types = rule.types | {TYPE_OF_NAME[word.rstrip("?")]}
            if word.endswith("?"):
                types |= {NoneType}
            rule = replace(rule, types=types)
    if text and rule.types <= {NoneType}:
        raise ValueError("a range without a type")
    return rule


def _merge_rules(rules: Sequence[Rule]) -> Rule:
    """Return the rule of a value that may meet any of `rules`; the range is that of the first that has one."""
    types = frozenset().union(*(rule.types for rule in rules))
    choices = tuple(choice for rule in rules for choice in rule.choices)
    if choices and NoneType in types:
        choices += (None,)  # choices are checked without a look at the types
    range_rule = next((rule for rule in rules if rule.low is not None or rule.high is not None), Rule())
    return Rule(types, range_rule.low, range_rule.high, choices)


def check_value(value: Any, rule: Rule, where: str) -> Any:
    """Return `value` as the rule's type (1 becomes 1.0 where a float is due).

    Raises:
        UserError: another type, out of range, none of the choices, NaN, or not JSON; names the override and the rule.
    """
    if rule.choices:
        return _check_choice(value, rule, where)
    if rule.types and type(value) is int and int not in rule.types and float in rule.types:
        value = float(value)
    # By the exact type, since to isinstance a bool is an int.
    if rule.types and type(value) not in rule.types:
        value_text = repr(value) if isinstance(value, str) else format_value(value)
        type_name = TYPE_NAMES.get(type(value), "no JSON value")
        hint = _suggest_typed_value(value, rule, where)
        raise UserError(f"{where}={value_text} is {type_name}, expected {rule}{hint}")
    if isinstance(value, (dict, list)):
        return _check_items(value, rule, where)
    _check_number(value, rule, where)
    return value


def _suggest_typed_value(value: Any, rule: Rule, where: str) -> str:
    """Return how a value of the wrong type would be typed, where that is plain from it; else nothing."""
    if list in rule.types and isinstance(value, str | int | float) and "," not in str(value):
        return f"; write {where}=[{value}]"
    if isinstance(value, str) and rule.types & {int, float}:
        return suggest_number(value, where, is_whole=float not in rule.types)
    return ""


def _check_choice(value: Any, rule: Rule, where: str) -> Any:
    for choice in rule.choices:
        if type(choice) is type(value) and choice == value:
            return choice
        if isinstance(choice, str) and type(value) in (int, float) and str(value) == choice:
            return choice  # Hydra reads `recipe.precision=32` as a number
    suggestion = ""
    if isinstance(value, str):
        words = [choice for choice in rule.choices if isinstance(choice, str)]
        suggestion = suggest_value(value, words) or suggest_nearest(value, words)
    if "did you" not in suggestion:
        suggestion = ""  # the rule lists the choices already
    raise UserError(f"{where}={format_value(value)}: expected {rule}{suggestion}")


def _check_items(value: Any, rule: Rule, where: str) -> Any:
    item_rule = rule.item_rule or Rule(low=rule.low, high=rule.high, hint=rule.hint)
    if isinstance(value, list):
        return [check_value(item, item_rule, f"{where}[{index}]") for index, item in enumerate(value)]
    for key in value:
        if not isinstance(key, str):
            raise UserError(f"{where}: the key {format_value(key)} is not text, quote it")
    return {key: check_value(item, item_rule, f"{where}.{key}") for key, item in value.items()}


def _check_number(value: Any, rule: Rule, where: str) -> None:
    if type(value) not in TYPE_NAMES:
        raise UserError(f"{where}={format_value(value)} is not a JSON value (int, float, str, bool, null, list, dict)")
    if type(value) not in (int, float):
        return
    if not math.isfinite(value):
        raise UserError(f"{where}={value} is not a finite number")
    is_too_low = rule.low is not None and value < rule.low
    is_too_high = rule.high is not None and value > rule.high
    if is_too_low or is_too_high:
        expected = replace(rule, types=rule.types or frozenset({type(value)}))
        raise UserError(f"{where}={format_value(value)} is out of range, expected {expected}")


def check_known_keys(keys: Iterable[str], known: Sequence[str], where: str) -> None:
    """Raise UserError for the first of `keys`, such as those of a mapping, that is not among `known`."""
    for key in keys:
        if key not in known:
            raise UserError(f"{where}.{key}: no such key{suggest_nearest(str(key), known)}".lstrip("."))
