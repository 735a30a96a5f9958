"""Which step may follow which: each says what it leaves of the network, what it can't work on, and what it needs.

A method's YAML names properties of the network (`_leaves_`, `_refuses_`, `_needs_`), never other methods: a new method
says its own and the rest stay as they are. A property stays with the network to the end of the chain.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from convarium.config.messages import format_value, suggest_nearest
from convarium.errors import UserError

PROPERTIES = ("sparse", "narrower", "factored", "shared", "quantized", "coded")
DENSE = "dense"  # what a network is as long as no step has left it any property


def check_step_order(method: str, default: Mapping[str, Any], left_by: Mapping[str, str]) -> None:
    """Check a step against what the steps before it leave of the network.

    Args:
        method: the step's.
        default: its method's YAML.
        left_by: the properties of the network before it, each with the first method that left it, in the chain's order.

    Raises:
        UserError: the network has a property that the method refuses, or none that it needs.
    """
    refused = _read_properties(method, default, "_refuses_", PROPERTIES)
    needed = _read_properties(method, default, "_needs_", (DENSE, *PROPERTIES))
    met = not needed or any(name in needed for name in left_by or (DENSE,))
    if not met and DENSE not in needed:
        wanted = _join_by_or(needed)
        raise UserError(
            f"compression: {method} has nothing to work on; put before it a step that leaves the network {wanted}"
        )
    for name, earlier in left_by.items():
        if name in refused or not met:
            raise UserError(
                f"compression: {method} can't come after {earlier}, which leaves the network {name}; put it before"
            )


def list_left_properties(method: str, default: Mapping[str, Any]) -> list[str]:
    """Return the properties that a network has after the method."""
    return _read_properties(method, default, "_leaves_", PROPERTIES)


def _read_properties(method: str, default: Mapping[str, Any], key: str, known: Iterable[str]) -> list[str]:
    named = default.get(key) or []
    if not isinstance(named, list):
        raise UserError(f"{method}: its {key} is {format_value(named)}, expected a list of properties of a network")
    for name in named:
        if name not in known:
            raise UserError(f"{method}: its {key} names {name!r}, no property{suggest_nearest(str(name), known)}")
    return named


def _join_by_or(names: list[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
