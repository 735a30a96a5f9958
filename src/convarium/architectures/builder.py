"""Builders of networks, and the checks of their arguments: JSON values only, each within bounds, no unknown ones.

The same checks guard a config and the header of a file from someone else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from torch import nn

from convarium.errors import UserError

MAX_VALUE_CHARS = 80


@dataclass(frozen=True)
class ArgumentRule:
    """What one argument may be: `accepts` checks a value, `expected` describes a right one in an error."""

    expected: str
    accepts: Callable[[Any], bool]


def int_between(low: int, high: int) -> ArgumentRule:
    """A whole number in low..high."""
    # type(), not isinstance(): True is an int, too.
    return ArgumentRule(f"a whole number in {low}..{high}", lambda value: type(value) is int and low <= value <= high)


def number_between(low: float, high: float) -> ArgumentRule:
    """A number in low..high."""
    return ArgumentRule(
        f"a number in {low}..{high}", lambda value: type(value) in (int, float) and low <= value <= high
    )


def one_of(*values: str) -> ArgumentRule:
    """One of these strings."""
    return ArgumentRule(f"one of {', '.join(values)}", lambda value: isinstance(value, str) and value in values)


def list_of(item_rule: ArgumentRule, low: int, high: int) -> ArgumentRule:
    """A list of low..high values, each of them an `item_rule`."""

    def is_list_of_items(value: Any) -> bool:
        return isinstance(value, list | tuple) and low <= len(value) <= high and all(map(item_rule.accepts, value))

    return ArgumentRule(f"a list of {low} to {high}, each {item_rule.expected}", is_list_of_items)


@dataclass(frozen=True)
class Builder:
    """How to build a network, `build(in_chans, num_classes, img_size, **kwargs, **layers)`, and rules for arguments.

    Images come channels-last: flatten them with `flatten` or `reshape`, not with `view`.

    Attributes:
        kwarg_rules: for the keys of `architecture.kwargs`.
        layer_rules: for those of `architecture.activation`, `norm`, `pooling` and `dropout` that the network takes.
        condensed_kwargs: kwargs that a network of `condensing.Condensing` has in its file, whatever form was trained.
    """

    build: Callable[..., nn.Module]
    kwarg_rules: Mapping[str, ArgumentRule]
    layer_rules: Mapping[str, ArgumentRule] = field(default_factory=dict)
    condensed_kwargs: Mapping[str, Any] = field(default_factory=dict)


def suggest_key(key: str, known_keys: list[str]) -> str:
    """Return "; did you mean 'x'?" with the known key nearest to `key`, or nothing."""
    matches = get_close_matches(key, known_keys, n=1)
    return f"; did you mean '{matches[0]}'?" if matches else ""


def check_kwargs(
    kwargs: Any, rules: Mapping[str, ArgumentRule], subject: str, where: str = "architecture.kwargs"
) -> None:
    """Check that each of `kwargs` has a rule and meets it.

    Args:
        subject: the beginning of an error, up to the verb: "resnet20 takes".
        where: what the user typed before a key.

    Raises:
        UserError: an unknown argument, or a value out of bounds.
    """
    if not isinstance(kwargs, Mapping):
        raise UserError(f"{where}={kwargs!r}: expected a mapping")
    for key, value in kwargs.items():
        if key not in rules:
            known_keys = ", ".join(rules) or "none"
            raise UserError(f"{where}.{key}: {subject} {known_keys}{suggest_key(str(key), list(rules))}")
        rule = rules[key]
        if not rule.accepts(value):
            raise UserError(f"{where}.{key}={str(value)[:MAX_VALUE_CHARS]}: expected {rule.expected}")
