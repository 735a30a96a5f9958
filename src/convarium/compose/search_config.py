"""The second primary config: `conf/search.yaml` with what is typed as `search.…` and `search/…`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.types import RunMode
from omegaconf import OmegaConf

from convarium.compose.hydra_errors import CONFIG_ERRORS, format_config_error
from convarium.config.checker import check_closed_group, check_open_set
from convarium.config.override import Override
from convarium.config.schema import SearchConfig
from convarium.errors import UserError

SEARCH_CONFIG = "search"
OPEN_GROUPS = ("strategy", "evaluator")

Json = dict[str, Any]


@dataclass(frozen=True)
class SearchSettings:
    """A search's config, checked.

    Attributes:
        own: the keys of `config.schema.SearchConfig`.
        strategy, evaluator: the name of each and its knobs.
    """

    own: SearchConfig
    strategy: Json
    evaluator: Json


def compose_search_settings(loader: ConfigLoaderImpl, typed: Sequence[Override]) -> SearchSettings:
    """Return the settings of a search.

    Args:
        typed: the overrides `search.…=` and `search/…=`.

    Raises:
        UserError: the first mistake, by the override that mends it.
    """
    default = _compose(loader, [override for override in typed if override.key.startswith("search/")])
    values = _compose(loader, typed)
    own = {key: value for key, value in values.items() if key not in OPEN_GROUPS}
    checked = {name: check_open_set(values[name], default[name], f"search.{name}") for name in OPEN_GROUPS}
    return SearchSettings(SearchConfig(**check_closed_group(own, SearchConfig, "search")), **checked)


def _compose(loader: ConfigLoaderImpl, overrides: Sequence[Override]) -> Mapping[str, Any]:
    try:
        config = loader.load_configuration(SEARCH_CONFIG, list(overrides), run_mode=RunMode.RUN)
        return cast(Json, OmegaConf.to_container(config.search, resolve=True, throw_on_missing=True))
    except CONFIG_ERRORS as error:
        raise UserError(f"{' '.join(overrides)}: {format_config_error(error)}") from error
