"""Checks plain dicts: closed groups against a dataclass, open sets against their own YAML."""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import cache
from typing import Any, get_type_hints

from convarium.config.rules import Rule, checked, from_default, from_hint, known
from convarium.errors import UserError


@cache
def rules(group: type) -> dict[str, Rule]:
    """Return the rule of each field of a dataclass."""
    return {name: from_hint(hint) for name, hint in get_type_hints(group, include_extras=True).items()}


def closed(values: Any, group: type, where: str) -> dict[str, Any]:
    """Return `values` with every key of the dataclass `group`, each of the type it says.

    Raises:
        UserError: an unknown or missing key, or a value the dataclass does not allow.
    """
    values = _mapping(values, where)
    known(values, [field.name for field in fields(group)], where)
    result = {}
    for field in fields(group):
        if field.name not in values and field.default is MISSING and field.default_factory is MISSING:
            raise UserError(f"{where}.{field.name} is missing, expected {rules(group)[field.name]}")
        default = field.default if field.default_factory is MISSING else field.default_factory()
        value = values.get(field.name, default)
        result[field.name] = checked(value, rules(group)[field.name], f"{where}.{field.name}".lstrip("."))
    return result


def open_set(values: Any, default: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return `values` checked against the YAML they came from: `default`, with its `_check_`; `_x_` keys are left out.

    Raises:
        UserError: a key the YAML does not have, or a value that is not of its default's type, range or choices.
    """
    values = _mapping(values, where)
    entries = _mapping(default.get("_check_") or {}, f"{where}._check_")
    names = [key for key in default if not _private(key)]
    known(entries, names, f"{where}._check_")
    known({key: value for key, value in values.items() if not _private(key)}, names, where)
    return {key: _knob(values.get(key), default[key], entries.get(key), f"{where}.{key}") for key in names}


def _knob(value: Any, default: Any, entry: Any, where: str) -> Any:
    if isinstance(default, Mapping) and default and entry is None:
        return open_set(value, default, where)
    return checked(value, from_default(default, entry, where), where)


def _private(key: Any) -> bool:
    return isinstance(key, str) and key.startswith("_") and key.endswith("_")


def _mapping(values: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(values, Mapping):
        raise UserError(f"{where} is {values!r}, expected keys and values")
    return values
