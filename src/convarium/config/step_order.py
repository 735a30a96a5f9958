"""The order of steps: each says what it leaves of the network, what it can't work on, and what it needs.

A method's YAML names properties of the network (`_leaves_`, `_refuses_`, `_needs_`), never other methods: a new method
says its own and the rest stay as they are. A property stays with the network to the end of the chain.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from convarium.config.messages import format_value, suggest_nearest
from convarium.errors import UserError

PROPERTIES = ("sparse", "narrower", "factored", "shared", "quantized", "coded")
DENSE = "dense"  # what a network is as long as no step has left it any property


def check_step_order(method: str, option: Mapping[str, Any], first_method_by_property: Mapping[str, str]) -> None:
    """Check a step against what the steps before it leave of the network.

    Args:
        method: the step's.
        option: its method's YAML.
        first_method_by_property: the properties of the network before it, each with the first method that left it, in
            the chain's order.

    Raises:
        UserError: the network has a property that the method refuses, or none that it needs.
    """
    refused = _read_properties(method, option, "_refuses_", PROPERTIES)
    needed = _read_properties(method, option, "_needs_", (DENSE, *PROPERTIES))
    present_properties = first_method_by_property or (DENSE,)
    is_need_met = not needed or any(name in needed for name in present_properties)
    if not is_need_met and DENSE not in needed:
        raise UserError(
            f"compression: {method} has nothing to work on; put before it a step that leaves the network"
            f" {_join_by_or(needed)}"
        )
    for name, earlier_method in first_method_by_property.items():
        if name in refused or not is_need_met:
            raise UserError(
                f"compression: {method} can't come after {earlier_method}, which leaves the network {name};"
                " put it before"
            )


def is_legal_order(steps: Iterable[tuple[str, Mapping[str, Any]]]) -> bool:
    """Whether each of some methods, with its YAML, can follow those before it."""
    first_method_by_property: dict[str, str] = {}
    for method, option in steps:
        try:
            check_step_order(method, option, first_method_by_property)
        except UserError:
            return False
        for left_property in list_left_properties(method, option):
            first_method_by_property.setdefault(left_property, method)
    return True


def list_left_properties(method: str, option: Mapping[str, Any]) -> list[str]:
    """Return the properties that a network has after the method."""
    return _read_properties(method, option, "_leaves_", PROPERTIES)


def _read_properties(method: str, option: Mapping[str, Any], key: str, known: Iterable[str]) -> list[str]:
    names = option.get(key) or []
    if not isinstance(names, list):
        raise UserError(f"{method}: its {key} is {format_value(names)}, expected a list of properties of a network")
    for name in names:
        if name not in known:
            raise UserError(f"{method}: its {key} names {name!r}, no property{suggest_nearest(str(name), known)}")
    return names


def _join_by_or(names: list[str]) -> str:
    *others, last = names
    if not others:
        return last
    return f"{', '.join(others)} or {last}"
