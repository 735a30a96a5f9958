"""Values of a config as the overrides that give them."""

from collections.abc import Mapping
from typing import Any

OMITTED_STEP_KEYS = ("method", "name", "version", "phases", "budget")


def format_differing_values(path: str, values: Mapping[str, Any], default: Mapping[str, Any]) -> list[str]:
    """Return an override for each value that is not the default's, below the key `path`."""
    overrides = []
    for key, value in values.items():
        default_value = default.get(key)
        if isinstance(value, Mapping) and isinstance(default_value, Mapping) and default_value:
            overrides += format_differing_values(f"{path}.{key}", value, default_value)
        elif value != default_value and key not in OMITTED_STEP_KEYS:
            overrides.append(f"{path}.{key}={format_override_value(value)}")
    return overrides


def format_override_value(value: Any) -> str:
    """Return a JSON value in the grammar of overrides."""
    if isinstance(value, Mapping):
        entries = [f"{key}:{format_override_value(entry)}" for key, entry in value.items()]
        return "{" + ",".join(entries) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(format_override_value, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str) and not value.replace("_", "a").replace("/", "a").isidentifier():
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return str(value)
