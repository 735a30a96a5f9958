"""Overrides of different keys: Hydra sets each once, alone, and a point's config is merged from their values.

Composing with OmegaConf takes milliseconds a point; a sweep of a thousand points sets the same few values many times.
"""

import copy
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import Override

Json = dict[str, Any]
DOTTED_KEY = re.compile(r"[\w-]+(\.[\w-]+)*")
INTERPOLATION_START, MISSING_VALUE = "${", "???"


def find_missing_keys(unresolved_config: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the keys that must still be set in a composition; None where values refer to other keys."""
    leaves = dict(_iterate_leaves(unresolved_config))
    if any(isinstance(value, str) and INTERPOLATION_START in value for value in leaves.values()):
        return None
    return frozenset(key for key, value in leaves.items() if value == MISSING_VALUE)


def are_independent(overrides: Sequence[Override], missing_keys: frozenset[str] | None) -> bool:
    """Whether to set all is to set each: plain values, no key within another, and nothing stays open."""
    keys = sorted(override.key_or_group for override in overrides)
    return (
        missing_keys is not None
        and missing_keys <= set(keys)
        and all(map(_is_plain_override, overrides))
        and not any(f"{later}.".startswith(f"{key}.") for key, later in itertools.combinations(keys, 2))
    )


def merge_values(base: Mapping[str, Any], values: Mapping[str, Any]) -> Json:
    """Return a copy of `base` with values at dotted keys."""
    config = _copy_config(base)
    for key, value in values.items():
        *path, last = key.split(".")
        node = config
        for part in path:
            node = node[part]
        node[last] = copy.deepcopy(value)
    return config


def _copy_config(config: Mapping[str, Any]) -> Json:
    return {key: _copy_config(value) if isinstance(value, dict) else _copy_leaf(value) for key, value in config.items()}


def _copy_leaf(value: Any) -> Any:
    return copy.copy(value) if isinstance(value, list) else value


def _is_plain_override(override: Override) -> bool:
    if override.is_delete() or override.is_add() or override.is_force_add() or override.package is not None:
        return False
    text = str(override.input_line)
    is_plain_value = INTERPOLATION_START not in text and MISSING_VALUE not in text
    return is_plain_value and bool(DOTTED_KEY.fullmatch(override.key_or_group))


def _iterate_leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _iterate_leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value) if isinstance(value, list) else value
