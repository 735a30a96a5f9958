"""The rule of a single key of a point, as its dataclass or the YAML of its option says it."""

from collections.abc import Mapping, Sequence
from typing import Any

from convarium.config.checker import derive_field_rules
from convarium.config.point import SEED_RULE
from convarium.config.rules import Rule, check_known_keys, parse_knob_rule
from convarium.config.schema import CLOSED_GROUPS, ArchitectureConfig, DatasetConfig
from convarium.errors import UserError

HALF_OPEN_GROUPS = {"architecture": ArchitectureConfig, "dataset": DatasetConfig}


def find_key_rule(key: str, default: Mapping[str, Any]) -> Rule:
    """Return the rule of a dotted key; one without types where any value is taken.

    Args:
        key: such as `recipe.lr` or `compression.kmeans.bits`.
        default: the composition of the point's groups, before any value was set.

    Raises:
        UserError: there is no such key.
    """
    group, *path = key.split(".")
    if key == "seed":
        return SEED_RULE
    if not path:
        raise UserError(f"{key}: expected a key of the group, {key}.NAME")
    if group in CLOSED_GROUPS:
        return _find_field_rule(path, CLOSED_GROUPS[group], group)
    if group in HALF_OPEN_GROUPS and path[0] in derive_field_rules(HALF_OPEN_GROUPS[group]):
        return _find_field_rule(path, HALF_OPEN_GROUPS[group], group)
    return _find_knob_rule(path, default[group], group)


def _find_field_rule(path: Sequence[str], group: type, where: str) -> Rule:
    rules = derive_field_rules(group)
    check_known_keys(path[:1], list(rules), where)
    return _follow_items(rules[path[0]], path[1:])


def _find_knob_rule(path: Sequence[str], option: Mapping[str, Any], where: str) -> Rule:
    knob, *rest = path
    check_known_keys([knob], [key for key in option if not key.startswith("_")], where)
    default, check = option[knob], (option.get("_check_") or {}).get(knob)
    if isinstance(default, Mapping) and default and check is None and rest:
        return _find_knob_rule(rest, default, f"{where}.{knob}")
    return _follow_items(parse_knob_rule(default, check, f"{where}.{knob}"), rest)


def _follow_items(rule: Rule, path: Sequence[str]) -> Rule:
    """Return the rule of a value, or of the items of a dict where a path goes on into it."""
    if not path:
        return rule
    return rule.item_rule or Rule(low=rule.low, high=rule.high, hint=rule.hint)
