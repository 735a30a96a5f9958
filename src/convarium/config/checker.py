"""Checks of plain dicts: closed groups against a dataclass, open sets against their own YAML."""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import cache
from typing import Any, get_type_hints

from convarium.config.rules import Rule, check_known_keys, check_value, parse_knob_rule, parse_type_hint
from convarium.errors import UserError

KEYS_ABOUT_A_YAML = (
    "_check_",
    "_leaves_",
    "_refuses_",
    "_needs_",
    "_budget_knobs_",
    "_only_step_",
    "_references_",
    "_inspect_folder_",
    "_class_names_",
    "_term_",
    "_search_",
)


@cache
def derive_field_rules(group: type) -> dict[str, Rule]:
    """Return the rule of each field of a dataclass."""
    return {name: parse_type_hint(hint) for name, hint in get_type_hints(group, include_extras=True).items()}


def check_closed_group(values: Any, group: type, where: str) -> dict[str, Any]:
    """Return `values` with every key of the dataclass `group`, each of the type it says.

    Raises:
        UserError: an unknown or missing key, or a value the dataclass does not allow.
    """
    values = _check_mapping(values, where)
    check_known_keys(values, [field.name for field in fields(group)], where)
    rules = derive_field_rules(group)
    result = {}
    for field in fields(group):
        rule = rules[field.name]
        if field.name not in values and field.default is MISSING and field.default_factory is MISSING:
            raise UserError(f"{where}.{field.name} is missing, expected {rule}")
        default = field.default if field.default_factory is MISSING else field.default_factory()
        value = values.get(field.name, default)
        result[field.name] = check_value(value, rule, f"{where}.{field.name}".lstrip("."))
    return result


def check_open_set(values: Any, option: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return `values` checked against `option`, the YAML they came from, with its `_check_`; `_x_` keys are left out.

    Raises:
        UserError: a key the YAML does not have, an `_x_` key that nothing reads, or a value that is not of its
            default's type, range or choices.
    """
    values = _check_mapping(values, where)
    # A misspelt `_refuses_` would be ignored without a word, and its method run where it must not.
    private_keys = [key for key in option if _is_private_key(key)]
    check_known_keys(private_keys, KEYS_ABOUT_A_YAML, where)
    checks = _check_mapping(option.get("_check_") or {}, f"{where}._check_")
    knobs = [key for key in option if key not in private_keys]
    check_known_keys(checks, knobs, f"{where}._check_")
    check_known_keys([key for key in values if key not in option and not _is_private_key(key)], knobs, where)
    return {knob: _check_knob(values.get(knob), option[knob], checks.get(knob), f"{where}.{knob}") for knob in knobs}


def _check_knob(value: Any, default: Any, check: Any, where: str) -> Any:
    if isinstance(default, dict) and default and check is None:
        return check_open_set(value, default, where)
    return check_value(value, parse_knob_rule(default, check, where), where)


def _is_private_key(key: Any) -> bool:
    return isinstance(key, str) and key.startswith("_") and key.endswith("_")


def _check_mapping(values: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(values, Mapping):
        raise UserError(f"{where} is {values!r}, expected keys and values")
    return values
