"""The second primary config: `conf/search.yaml` with what is typed as `search.…` and `search/…`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convarium.compose.hydra_adapter import Composer
from convarium.config.checker import check_closed_group, check_open_set
from convarium.config.messages import suggest_nearest
from convarium.config.override import Override
from convarium.config.schema import SearchConfig
from convarium.config.search_path import list_group_options
from convarium.errors import UserError

SEARCH_CONFIG = "search"
OPEN_GROUPS = ("space", "strategy", "evaluator", "pruner")

Json = dict[str, Any]


@dataclass(frozen=True)
class SearchSettings:
    """A search's config, checked.

    Attributes:
        own: the keys that are no group.
        space: the lines or the function of the chosen option, and its knobs.
        strategy: its name and its knobs; evaluator and pruner likewise.
    """

    own: SearchConfig
    space: Json
    strategy: Json
    evaluator: Json
    pruner: Json


def compose_search_settings(folders: Sequence[Path], typed: Sequence[Override]) -> SearchSettings:
    """Return the settings of a search.

    Args:
        folders: those of the search path of configs.
        typed: the overrides `search.…=` and `search/…=`.

    Raises:
        UserError: the first mistake, by the override that mends it.
    """
    composer = Composer(folders, SEARCH_CONFIG)
    for override in typed:
        _check_single_value(composer, override)
    groups = tuple(sorted(override for override in typed if "/" in override.key))
    for override in groups:
        _check_option(override)
    default = composer.compose_groups(groups)["search"]
    values = composer.compose_with_values(groups, [override for override in typed if override not in groups])["search"]
    own = {key: value for key, value in values.items() if key not in OPEN_GROUPS}
    checked = {name: check_open_set(values[name], default[name], f"search.{name}") for name in OPEN_GROUPS}
    return SearchSettings(SearchConfig(**check_closed_group(own, SearchConfig, "search")), **checked)


def _check_single_value(composer: Composer, override: Override) -> None:
    if override.key == SEARCH_CONFIG:
        raise UserError(f"{override}: a search is set by its keys (search.trials=40) and groups (search/strategy=tpe)")
    if composer.find_number_sweep(override) or len(composer.expand_override(override)) != 1:
        raise UserError(f"{override}: what a search is set by has one value; run a search for each")


def _check_option(override: Override) -> None:
    group = override.key.removeprefix("search/")
    if group not in OPEN_GROUPS:
        raise UserError(f"{override}: no such group{suggest_nearest(group, OPEN_GROUPS)}")
    options = list_group_options(override.key)
    if override.value not in options:
        raise UserError(f"{override}: no such {group}{suggest_nearest(override.value, options)}")
