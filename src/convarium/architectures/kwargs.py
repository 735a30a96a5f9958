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
class Allowed:
    """What one argument may be: `test` decides, `text` says it in an error."""

    text: str
    test: Callable[[Any], bool]


def whole(low: int, high: int) -> Allowed:
    """A whole number in low..high."""
    return Allowed(f"a whole number in {low}..{high}", lambda value: type(value) is int and low <= value <= high)


def number(low: float, high: float) -> Allowed:
    """A number in low..high."""
    return Allowed(f"a number in {low}..{high}", lambda value: type(value) in (int, float) and low <= value <= high)


def choice(*values: str) -> Allowed:
    """One of some words."""
    return Allowed(f"one of {', '.join(values)}", lambda value: isinstance(value, str) and value in values)


def many(item: Allowed, low: int, high: int) -> Allowed:
    """A list of low..high values, each of them an `item`."""
    return Allowed(
        f"a list of {low} to {high}, each {item.text}",
        lambda value: isinstance(value, list | tuple) and low <= len(value) <= high and all(map(item.test, value)),
    )


@dataclass(frozen=True)
class Builder:
    """One network: `make(in_chans, num_classes, img_size, **kwargs, **layers)` and what these may be.

    Images come channels-last: flatten them with `flatten` or `reshape`, not with `view`.

    Attributes:
        allowed: of the keys of `architecture.kwargs`.
        layers: of `architecture.activation`, `norm`, `pooling` and `dropout`, those that it takes.
        delivered: kwargs that a network of `condensing.Condensing` has in its file, whatever form was trained.
    """

    make: Callable[..., nn.Module]
    allowed: Mapping[str, Allowed]
    layers: Mapping[str, Allowed] = field(default_factory=dict)
    delivered: Mapping[str, Any] = field(default_factory=dict)


def suggestion(word: str, words: list[str]) -> str:
    """Return "; did you mean 'x'?" for the word nearest to `word`, or nothing."""
    near = get_close_matches(word, words, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def check(kwargs: Any, allowed: Mapping[str, Allowed], takes: str, where: str = "architecture.kwargs") -> None:
    """Check `kwargs` against what is allowed.

    Args:
        takes: who takes what is allowed, up to the verb: "resnet20 takes".
        where: what the user typed before a key.

    Raises:
        UserError: an unknown argument, or a value out of bounds.
    """
    if not isinstance(kwargs, Mapping):
        raise UserError(f"{where}={kwargs!r}: expected a mapping")
    for key, value in kwargs.items():
        if key not in allowed:
            known = ", ".join(allowed) or "none"
            raise UserError(f"{where}.{key}: {takes} {known}{suggestion(str(key), list(allowed))}")
        if not allowed[key].test(value):
            raise UserError(f"{where}.{key}={str(value)[:80]}: expected {allowed[key].text}")
