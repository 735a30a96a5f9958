"""What completion offers as values: of keys, of options, and the signatures of a store."""

import re
from argparse import Action
from collections.abc import Iterable
from pathlib import Path

from convarium.config.override import Override
from convarium.config.paths import parse_path
from convarium.config.recipe import OPTIMIZERS
from convarium.config.rules import Rule
from convarium.config.schema import CLOSED_GROUPS, ArchitectureConfig, DatasetConfig, RuntimeConfig
from convarium.config.search_path import (
    find_config_file,
    list_config_groups,
    list_config_names,
    list_group_options,
    list_search_folders,
)
from convarium.store.signature import SIGNATURE_LENGTH

FOLDER_PATTERN = re.compile(rf".*-([0-9a-f]{{{SIGNATURE_LENGTH}}})")
SCHEMA = {**CLOSED_GROUPS, "architecture": ArchitectureConfig, "dataset": DatasetConfig}


def list_key_values(key: str, arguments: Iterable[str]) -> list[str]:
    """Return what a key may be set to: options, sweeps, choices, signatures; nothing for numbers and texts."""
    if key == "sweep":
        return sorted({name for folder in list_search_folders("sweeps") for name in list_config_names(folder)})
    if key in list_config_groups():
        return list_group_options(key)
    if key == "architecture.weights":
        return list_signatures(arguments, "adopt")
    if key.endswith("teacher.signature"):
        return list_signatures(arguments)
    if key == "recipe.optimizer":
        return list(OPTIMIZERS)  # besides any of torch by its import path
    rule = _find_rule(key)
    return _list_choices(rule) if rule else []


def list_option_values(option: str, action: Action) -> list[str]:
    """Return what may stand behind an option of a command; nothing for numbers, texts and files."""
    if action.choices is not None:
        return [str(choice) for choice in action.choices]
    if option == "--best":
        from convarium.comparison.metric_names import METRICS

        return list(METRICS)
    if option == "--stage":
        from convarium.stages.declaration import find_stages

        return list(find_stages())
    if option == "--check":
        names = {name for folder in list_search_folders("sweeps") for name in list_config_names(folder / "checks")}
        return sorted(names)
    return []


def list_signatures(arguments: Iterable[str], stage: str = "*") -> list[str]:
    """Return the signatures of the store that a line names, else of the default one."""
    overrides = [Override(text) for text in arguments]
    named = [override.value for override in overrides if override.key == "runtime.store"]
    root = parse_path(named[-1].strip("'\"")) if named else Path(RuntimeConfig().store)
    matches = [FOLDER_PATTERN.fullmatch(folder.name) for folder in root.glob(f"{stage}/*-*")]
    return sorted({match[1] for match in matches if match})


def _find_rule(key: str) -> Rule | None:
    """Return the rule of a key of a closed group, or of a method's knob."""
    group, _, name = key.partition(".")
    if group == "compression":
        return _find_knob_rule(*name.partition(".")[::2])
    if group not in SCHEMA:
        return None
    from convarium.config.checker import derive_field_rules

    return derive_field_rules(SCHEMA[group]).get(name)


def _find_knob_rule(method: str, knob: str) -> Rule | None:
    from convarium.config.option_file import read_option
    from convarium.config.rules import parse_knob_rule

    names = [name for name in list_group_options("compression") if name.rpartition("/")[2] == method]
    path = find_config_file("conf", f"compression/{names[0]}") if names else None
    option = read_option(path) if path else {}
    if knob not in option:
        return None
    return parse_knob_rule(option[knob], (option.get("_check_") or {}).get(knob), knob)


def _list_choices(rule: Rule) -> list[str]:
    if rule.item_rule:
        return _list_choices(rule.item_rule)
    if rule.choices:
        return ["null" if choice is None else str(choice) for choice in rule.choices]
    return ["false", "true"] if bool in rule.types else []
