"""One small rule per value: its types, range and choices, from a type hint or from a method's YAML."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from convarium.config.words import shown, suggestion
from convarium.errors import UserError

NAMES = {bool: "bool", int: "int", float: "float", str: "str", list: "list", dict: "dict", NoneType: "null"}
MISSING = "???"
KINDS = {name: kind for kind, name in NAMES.items()}
RANGE = re.compile(r"(-?[\d.]+?(?:e-?\d+)?)?\.\.(-?[\d.]+(?:e-?\d+)?)?")


@dataclass(frozen=True)
class Rule:
    """What a value may be; no types means any JSON value. The hint is told to who breaks it.

    `each` is what the items of a list may be; without one they are held to the list's own range.
    """

    types: frozenset[type] = frozenset()
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] = field(default=())
    hint: str = ""
    each: "Rule | None" = None

    def __str__(self) -> str:
        return self._expected() + (f" ({self.hint})" if self.hint else "")

    def _expected(self) -> str:
        if self.choices:
            return f"one of {', '.join(shown(choice) for choice in self.choices)}"
        kinds = " or ".join(sorted(NAMES[kind] for kind in self.types))
        kinds += f" of {self.each}" if self.each and self.each.types else ""
        low, high = self.low, self.high
        if low is not None and high is not None:
            return f"{kinds} from {low:g} to {high:g}"
        if low is not None:
            return f"{kinds} of at least {low:g}"
        return kinds if high is None else f"{kinds} of at most {high:g}"


def from_hint(hint: Any) -> Rule:
    """Return the rule of a dataclass field; `Annotated[int, "1.."]` carries a range as a method's YAML would."""
    if get_origin(hint) is Annotated:
        inner, text = get_args(hint)[:2]
        return _with_text(from_hint(inner), text)
    if get_origin(hint) is Literal:
        return Rule(types=frozenset(type(choice) for choice in get_args(hint)), choices=get_args(hint))
    if get_origin(hint) in (Union, UnionType):
        parts = [from_hint(part) for part in get_args(hint)]
        choices = tuple(choice for part in parts for choice in part.choices)
        optional = (None,) if choices and any(NoneType in part.types for part in parts) else ()
        return _merged(parts, choices + optional)
    if get_origin(hint) is list:
        return Rule(types=frozenset({list}), each=from_hint(get_args(hint)[0]))
    return Rule() if hint is Any else Rule(types=frozenset({get_origin(hint) or hint}))


def from_default(default: Any, entry: Any, where: str) -> Rule:
    """Return the rule of an open set's knob: the default's type is the type, `entry` is its line in `_check_`.

    An entry is a list of choices, or words: a range (`0..1`, `1..`), types (`int? float? str? dict list`), and after a
    semicolon a hint. A default of null, or `???` (which the user must set), takes the types that its entry names.
    """
    if default == MISSING or (default is None and entry is None):
        kinds: frozenset[type] = frozenset()
    else:
        kinds = frozenset({type(default)})
    if isinstance(entry, Sequence) and not isinstance(entry, str):
        return Rule(types=kinds, choices=(*entry, *((None,) if default is None and None not in entry else ())))
    try:
        return _with_text(Rule(types=kinds), "" if entry is None else str(entry))
    except (KeyError, ValueError):
        raise UserError(
            f"{where}: can't read '{entry}' in its _check_: write a range (0..1), choices ([a, b]) or types (int? 1..)"
        ) from None


@cache
def _with_text(rule: Rule, text: str) -> Rule:
    text, _, hint = text.partition(";")
    rule = replace(rule, hint=hint.strip())
    for word in re.split(r"[|,\s]+", text.strip()) if text.strip() else ():
        if match := RANGE.fullmatch(word):
            low, high = (None if end is None else float(end) for end in match.groups())
            rule = replace(rule, low=low, high=high)
        else:
            kinds = {KINDS[word.rstrip("?")], *({NoneType} if word.endswith("?") else ())}
            rule = replace(rule, types=rule.types | kinds)
    if text and rule.types <= {NoneType}:
        raise ValueError("a range without a type")
    return rule


def _merged(parts: Sequence[Rule], choices: tuple[Any, ...]) -> Rule:
    ranged = next((part for part in parts if part.low is not None or part.high is not None), Rule())
    return Rule(frozenset().union(*(part.types for part in parts)), ranged.low, ranged.high, choices)


def checked(value: Any, rule: Rule, where: str) -> Any:
    """Return `value` as the rule's type (1 becomes 1.0 where a float is due).

    Raises:
        UserError: another type, out of range, none of the choices, NaN, or not JSON; names the override and the rule.
    """
    if rule.choices:
        return _chosen(value, rule, where)
    if rule.types and type(value) is int and int not in rule.types and float in rule.types:
        value = float(value)
    if rule.types and type(value) not in rule.types:
        told = repr(value) if isinstance(value, str) else shown(value)
        raise UserError(f"{where}={told} is {NAMES.get(type(value), 'no JSON value')}, expected {rule}")
    if isinstance(value, (dict, list)):
        return _contents(value, rule, where)
    _number(value, rule, where)
    return value


def _chosen(value: Any, rule: Rule, where: str) -> Any:
    for choice in rule.choices:
        if type(choice) is type(value) and choice == value:
            return choice
        if isinstance(choice, str) and type(value) in (int, float) and str(value) == choice:
            return choice
    words = [choice for choice in rule.choices if isinstance(choice, str)]
    near = suggestion(value, words) if isinstance(value, str) else ""
    raise UserError(f"{where}={shown(value)}: expected {rule}{near if 'did you' in near else ''}")


def _contents(value: Any, rule: Rule, where: str) -> Any:
    inner = rule.each or Rule(low=rule.low, high=rule.high, hint=rule.hint)
    if isinstance(value, list):
        return [checked(item, inner, f"{where}[{index}]") for index, item in enumerate(value)]
    if wrong := [key for key in value if not isinstance(key, str)]:
        raise UserError(f"{where}: the key {shown(wrong[0])} is not text, quote it")
    return {key: checked(item, inner, f"{where}.{key}") for key, item in value.items()}


def _number(value: Any, rule: Rule, where: str) -> None:
    if type(value) not in NAMES:
        raise UserError(f"{where}={shown(value)} is no JSON value (int, float, str, bool, null, list, dict)")
    if type(value) not in (int, float):
        return
    if not math.isfinite(value):
        raise UserError(f"{where}={value} is not a finite number")
    if (rule.low is not None and value < rule.low) or (rule.high is not None and value > rule.high):
        expected = replace(rule, types=rule.types or frozenset({type(value)}))
        raise UserError(f"{where}={shown(value)} is out of range, expected {expected}")


def known(values: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    """Raise UserError for the first key of `values` that is none of `keys`."""
    for key in values:
        if key not in keys:
            raise UserError(f"{where}.{key}: no such key{suggestion(str(key), keys)}".lstrip("."))
