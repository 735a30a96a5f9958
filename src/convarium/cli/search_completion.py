"""What completion offers of a search: its groups, its keys, and the knobs of what is chosen on the line."""

from collections.abc import Iterable
from dataclasses import fields

from convarium.config.option_description import SEARCH_PURPOSES, describe_option, find_default_option
from convarium.config.override import Override
from convarium.config.schema import SearchConfig
from convarium.config.search_path import list_group_options

CONSTRAINTS_FIELD = "constraints"


def list_search_keys(arguments: Iterable[str]) -> list[str]:
    """Return what may be set of a search, each up to its `=`."""
    from convarium.search.measures import list_measure_names

    keys = [f"search.{field.name}=" for field in fields(SearchConfig) if field.name != CONSTRAINTS_FIELD]
    keys += [f"search.{CONSTRAINTS_FIELD}.{name}=" for name in list_measure_names()]
    chosen = {override.key: override.value for override in map(Override, arguments)}
    for group in SEARCH_PURPOSES:
        keys.append(f"{group}=")
        option = chosen.get(group) or find_default_option(group)
        if option in list_group_options(group):
            described = describe_option(group, option)
            keys += [f"{described.prefix}.{key.key}=" for key in described.keys]
    return keys


def list_search_values(key: str) -> list[str]:
    """Return what a key of a search may be set to; nothing for numbers and texts."""
    from convarium.search.measures import list_measure_names

    if key in SEARCH_PURPOSES:
        return list_group_options(key)
    return list_measure_names() if key == "search.objectives" else []
