"""Arguments of builders: JSON values only, each within bounds, unknown ones refused.

The same checks guard a config and the header of a stranger's file.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from torch import nn

from convarium.errors import UserError


@dataclass(frozen=True)
class ArgumentRule:
    """What one argument may be: `accepts` decides, `expected` says it in an error."""

    expected: str
    accepts: Callable[[Any], bool]


def int_between(low: int, high: int) -> ArgumentRule:
    """A whole number in low..high."""
    return ArgumentRule(f"a whole number in {low}..{high}", lambda value: type(value) is int and low <= value <= high)


def number_between(low: float, high: float) -> ArgumentRule:
    """A number in low..high."""
    return ArgumentRule(
        f"a number in {low}..{high}", lambda value: type(value) in (int, float) and low <= value <= high
    )


def one_of(*values: str) -> ArgumentRule:
    """One of some words."""
    return ArgumentRule(f"one of {', '.join(values)}", lambda value: isinstance(value, str) and value in values)


def list_of(item_rule: ArgumentRule, low: int, high: int) -> ArgumentRule:
    """A list of low..high values, each of them an `item_rule`."""
    return ArgumentRule(
        f"a list of {low} to {high}, each {item_rule.expected}",
        lambda value: (
            isinstance(value, list | tuple) and low <= len(value) <= high and all(map(item_rule.accepts, value))
        ),
    )


@dataclass(frozen=True)
class Builder:
    """One network: `make(in_chans, num_classes, img_size, **kwargs, **layers)` and what these may be.

    Images come channels-last: flatten them with `flatten` or `reshape`, not with `view`.

    Attributes:
        kwarg_rules: of the keys of `architecture.kwargs`.
        layer_rules: of `architecture.activation`, `norm`, `pooling` and `dropout`, those that it takes.
        condensed_kwargs: kwargs that a network of `condensing.Condensing` has in its file, whatever form was trained.
    """

    build: Callable[..., nn.Module]
    kwarg_rules: Mapping[str, ArgumentRule]
    layer_rules: Mapping[str, ArgumentRule] = field(default_factory=dict)
    condensed_kwargs: Mapping[str, Any] = field(default_factory=dict)


def suggest_key(word: str, words: list[str]) -> str:
    """Return "; did you mean 'x'?" for the word nearest to `word`, or nothing."""
    near = get_close_matches(word, words, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def check_kwargs(
    kwargs: Any, rules: Mapping[str, ArgumentRule], subject: str, where: str = "architecture.kwargs"
) -> None:
    """Check `kwargs` against what is allowed.

    Args:
        subject: who takes what is allowed, up to the verb: "resnet20 takes".
        where: what the user typed before a key.

    Raises:
        UserError: an unknown argument, or a value out of bounds.
    """
    if not isinstance(kwargs, Mapping):
        raise UserError(f"{where}={kwargs!r}: expected a mapping")
    for key, value in kwargs.items():
        if key not in rules:
            known = ", ".join(rules) or "none"
            raise UserError(f"{where}.{key}: {subject} {known}{suggest_key(str(key), list(rules))}")
        if not rules[key].accepts(value):
            raise UserError(f"{where}.{key}={str(value)[:80]}: expected {rules[key].expected}")
