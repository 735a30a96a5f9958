"""The compression list: from Hydra's dict, with a key for each method, to a list of steps in order."""

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
    method_by_short_name: dict[str, str] = {}
    for method in methods:
        short_name = method.rpartition("/")[2]
        other = method_by_short_name.get(short_name)
        method_by_short_name[short_name] = method
        if other == method:
            raise UserError(f"compression: {method} is there twice; to run it twice, write a YAML file with two steps")
        if other:
            raise UserError(
                f"compression: {other} and {method} share the knobs compression.{short_name}.…; choose one of them"
            )


def parse_steps(values: Any, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the steps of one point, checked against `options`, the YAML of each step's method.

    Raises:
        UserError: a step without a method, a knob's mistake, or an order that a method refuses.
    """
    steps: list[dict[str, Any]] = []
    first_method_by_property: dict[str, str] = {}
    for name, step_values in (values or {}).items():
        if name not in (options or {}) or not isinstance(step_values, Mapping) or "method" not in step_values:
            raise UserError(f"compression.{name}: this point has no method '{name}'; add it to compression=[…]")
        option = options[name]
        step = check_open_set(step_values, option, f"compression.{name}")
        step = _drop_unlisted_terms(step, step_values, option, name)
        method = step["method"]
        check_step_order(method, option, first_method_by_property)
        for left_property in list_left_properties(method, option):
            first_method_by_property.setdefault(left_property, method)
        steps.append(step)
        if option.get("_only_step_") and len(values) > 1:
            raise UserError(f"compression: {method} is a control of the dense network; leave out the other methods")
    return steps


def _drop_unlisted_terms(
    step: dict[str, Any], step_values: Mapping[str, Any], option: Mapping[str, Any], name: str
) -> dict[str, Any]:
    """Leave out the settings of the terms that the step's `terms` does not list; `step_values` is it unchecked."""
    known_terms = list_term_names(option)
    listed_terms = step.get("terms", [])
    for term in listed_terms:
        if term not in known_terms:
            known_text = ", ".join(known_terms) or "none"
            raise UserError(f"compression.{name}.terms: no such term {term!r} (there is {known_text})")
    unlisted_terms = [term for term in known_terms if term not in listed_terms]
    for term in unlisted_terms:
        if step_values[term] != option[term] and step[term] != check_open_set(option[term], option[term], term):
            raise UserError(f"compression.{name}.{term} has no effect without compression.{name}.terms=[{term}]")
    return {key: value for key, value in step.items() if key not in unlisted_terms}


def list_term_names(option: Mapping[str, Any]) -> list[str]:
    """Return the names of the terms that a method's YAML offers."""
    return [key for key, value in option.items() if isinstance(value, Mapping) and "_term_" in value]
