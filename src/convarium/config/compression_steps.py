"""The compression list: from Hydra's dict, a key a method, to a list of steps in order."""

from collections.abc import Mapping, Sequence
from typing import Any

from convarium.config.checker import check_open_set
from convarium.config.step_order import check_step_order, list_left_properties
from convarium.errors import UserError


def check_method_names(methods: Sequence[str]) -> None:
    """Check the names in a compression list.

    Raises:
        UserError: a method twice, or two methods whose knobs would have one name.
    """
    lasts: dict[str, str] = {}
    for method in methods:
        last = method.rpartition("/")[2]
        other = lasts.setdefault(last, method) if last in lasts else None
        lasts[last] = method
        if other == method:
            raise UserError(f"compression: {method} is there twice; to run it twice, write a YAML file with two steps")
        if other:
            raise UserError(
                f"compression: {other} and {method} share the knobs compression.{last}.…; choose one of them"
            )


def parse_steps(values: Any, default: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the steps of one point, checked against their methods' YAML.

    Raises:
        UserError: a step without a method, a knob's mistake, or an order that a method refuses.
    """
    result: list[dict[str, Any]] = []
    left_by: dict[str, str] = {}
    for name, step in (values or {}).items():
        if name not in (default or {}) or not isinstance(step, Mapping) or "method" not in step:
            raise UserError(f"compression.{name}: this point has no method '{name}'; add it to compression=[…]")
        checked = _drop_unlisted_terms(check_open_set(step, default[name], f"compression.{name}"), default[name], name)
        check_step_order(checked["method"], default[name], left_by)
        for left in list_left_properties(checked["method"], default[name]):
            left_by.setdefault(left, checked["method"])
        result.append(checked)
        if default[name].get("_only_step_") and len(values) > 1:
            raise UserError(f"compression: {checked['method']} is a control of the dense network; give it no company")
    return result


def _drop_unlisted_terms(step: dict[str, Any], default: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Leave out the settings of the terms that the step's `list_term_names` does not list."""
    listed = step.get("terms", [])
    for term in listed:
        if term not in list_term_names(default):
            known = ", ".join(list_term_names(default)) or "none"
            raise UserError(f"compression.{name}.terms: no such term {term!r} (there is {known})")
    for term in list_term_names(default):
        if term not in listed and step[term] != check_open_set(default[term], default[term], term):
            raise UserError(f"compression.{name}.{term} says nothing without compression.{name}.terms=[{term}]")
    return {key: value for key, value in step.items() if key not in list_term_names(default) or key in listed}


def list_term_names(default: Mapping[str, Any]) -> list[str]:
    """Return the names of the terms that a method's YAML offers."""
    return [key for key, value in default.items() if isinstance(value, Mapping) and "_term_" in value]
