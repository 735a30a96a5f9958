"""Compose configs with Hydra's internals: the search path, the override grammar, groups and values.

Written against Hydra 1.3; tests/compose/test_hydra_adapter.py compares this fast way of composing with Hydra's own, and
fails when an internal name moves.
"""

import pickle
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.defaults_list import create_defaults_list
from hydra._internal.sources_registry import SourcesRegistry
from hydra._internal.utils import create_config_search_path
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override as HydraOverride
from hydra.core.override_parser.types import Sweep
from hydra.core.plugins import Plugins
from hydra.core.utils import JobRuntime, setup_globals
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from convarium.compose.hydra_errors import CONFIG_ERRORS, format_config_error
from convarium.compose.hydra_files import CopyingConfigRepository, UserConfigSource
from convarium.compose.hydra_numbers import NumberSweep, read_number_sweep, refuse_huge_range
from convarium.compose.independent_overrides import are_independent, find_missing_keys, merge_values
from convarium.compose.override_quoting import explain_unreadable, quote_path_values
from convarium.config.messages import suggest_nearest
from convarium.config.override import Override
from convarium.config.suggestions import suggest_key_of_group
from convarium.errors import UserError

PRIMARY_CONFIG = "convarium"


@dataclass(frozen=True)
class ComposedGroups:
    """A composition of groups.

    Attributes:
        pickled_config: the DictConfig, on which values are set: unpickling is much faster than a deep copy.
        plain_config: the same as a plain dict.
        missing_keys: those that must still be set; None where that can't be known.
    """

    pickled_config: bytes
    plain_config: dict[str, Any]
    missing_keys: frozenset[str] | None


class Composer:
    """Composes configs from the folders of a search path, the last of which is ours."""

    def __init__(self, folders: Sequence[Path], primary_config: str = PRIMARY_CONFIG) -> None:
        self._primary_config = primary_config
        version.setbase("1.3")
        setup_globals()
        JobRuntime.instance().set("name", "convarium")
        Plugins.instance()
        SourcesRegistry.instance().register(UserConfigSource)
        path = create_config_search_path(f"file://{folders[-1]}")
        for folder in reversed(folders[:-1]):
            path.prepend("user", f"options://{folder}")
        self.loader = ConfigLoaderImpl(path)
        self._parsed: dict[str, HydraOverride] = {}
        self._composed: dict[tuple[str, ...], ComposedGroups] = {}
        self._options_by_groups: dict[tuple[str, ...], Collection[str | None]] = {}
        self._single_values: dict[tuple[tuple[str, ...], str], Any] = {}

    @cached_property
    def _repository(self) -> CopyingConfigRepository:
        return CopyingConfigRepository(self.loader.repository)

    @cached_property
    def _parser(self) -> OverridesParser:
        return OverridesParser.create(config_loader=self.loader)

    def parse(self, text: str) -> HydraOverride:
        """Return the parsed override.

        Raises:
            UserError: the text is no `key=value` of Hydra's grammar.
        """
        if text not in self._parsed:
            readable = quote_path_values(text)
            try:
                self._parsed[text] = self._parser.parse_overrides([readable])[0]
            except CONFIG_ERRORS as error:
                raise UserError(explain_unreadable(text, format_config_error(error))) from error
        return self._parsed[text]

    def expand_override(self, override: Override, resolve_value: Callable[[Any], Any] | None = None) -> list[Override]:
        """Return an override for each value that one sweeps over, as `resolve_value` completes it."""
        parsed = self.parse(override)
        key = parsed.get_key_element()
        if parsed.is_delete():
            return [override]
        is_sweep = parsed.is_sweep_override()
        if is_sweep and not parsed.is_discrete_sweep():
            raise UserError(
                f"{override}: an interval has no points; write the values or range(start,stop,step);"
                " `convarium search` searches it"
            )
        try:
            refuse_huge_range(parsed._value)
            values: list[Any] = list(parsed.sweep_iterator()) if is_sweep else [parsed._value]
        except CONFIG_ERRORS as error:
            raise UserError(f"{override}: {format_config_error(error)}") from error
        if not values:
            raise UserError(f"{override} has no value")
        if _has_nested_sweep(values):
            raise UserError(f"{override}: a list can't hold a sweep; write the lists one after another: {key}=[…],[…]")
        if resolve_value:
            values = [resolve_value(HydraOverride._convert_value(value)) for value in values]
        return [Override(f"{key}={HydraOverride._get_value_element_as_str(value)}") for value in values]

    def find_number_sweep(self, override: Override) -> NumberSweep | None:
        """Return the numbers that an override sweeps over, as an interval or a range; None where it does not.

        Raises:
            UserError: no override, or a range without a value, without a step, or of too many values.
        """
        value = self.parse(override)._value
        try:
            return read_number_sweep(value)
        except UserError as error:
            raise UserError(f"{override}: {error}") from None

    def compose_groups(self, groups: tuple[str, ...]) -> dict[str, Any]:
        """Return what the group choices alone compose to, as a plain dict; composed once for each distinct tuple.

        Raises:
            UserError: a file is missing or unreadable, said in one line.
        """
        return self._compose_groups_once(groups).plain_config

    def compose_with_values(
        self, groups: tuple[str, ...], values: Sequence[str], must_be_complete: bool = True
    ) -> dict[str, Any]:
        """Return the composition of `groups` with `values` set by Hydra's own function, as a plain dict.

        Args:
            must_be_complete: whether a key that must still be set is a mistake; else its value is `???`.

        Raises:
            UserError: a key that is not there, or a value its place can't take.
        """
        overrides = [self.parse(text) for text in values]
        if are_independent(overrides, self._compose_groups_once(groups).missing_keys):
            value_by_key = {
                override.key_or_group: self._compose_single_value(groups, text)
                for override, text in zip(overrides, values, strict=True)
            }
            return merge_values(self.compose_groups(groups), value_by_key)
        return _convert_to_dict(self._apply_values(groups, values), must_be_complete)

    def _compose_single_value(self, groups: tuple[str, ...], text: str) -> Any:
        """Return the value that an override gives its key in the composition of `groups`."""
        if (groups, text) not in self._single_values:
            # Only this value: to convert the whole composition would take as long as all the rest of a point.
            value = OmegaConf.select(self._apply_values(groups, [text]), self.parse(text).key_or_group)
            is_container = OmegaConf.is_config(value)
            self._single_values[groups, text] = OmegaConf.to_container(value, resolve=True) if is_container else value
        return self._single_values[groups, text]

    def _apply_values(self, groups: tuple[str, ...], values: Sequence[str]) -> DictConfig:
        config: DictConfig = pickle.loads(self._compose_groups_once(groups).pickled_config)
        for text in values:
            try:
                ConfigLoaderImpl._apply_overrides_to_config([self.parse(text)], config)
            except CONFIG_ERRORS as error:
                raise UserError(
                    _explain_failed_override(text, self.parse(text), self.compose_groups(groups), error)
                ) from error
        return config

    def _compose_groups_once(self, groups: tuple[str, ...]) -> ComposedGroups:
        if groups not in self._composed:
            config = self._compose_groups_by_hydra(groups)
            written = cast(dict[str, Any], OmegaConf.to_container(config))
            plain = _convert_to_dict(config, must_be_complete=False)
            self._composed[groups] = ComposedGroups(pickle.dumps(config), plain, find_missing_keys(written))
        return self._composed[groups]

    def get_chosen_options(self, groups: tuple[str, ...]) -> Collection[str | None] | None:
        """Return the options, such as "recipe/adam", that group choices were composed of; None if they can't be."""
        return self._options_by_groups.get(groups)

    def _compose_groups_by_hydra(self, groups: tuple[str, ...]) -> DictConfig:
        """Compose as Hydra does, without its own node (no result depends on it), reading each file once."""
        try:
            defaults = create_defaults_list(
                repo=self._repository,
                config_name=self._primary_config,
                overrides_list=[self.parse(text) for text in groups],
                prepend_hydra=False,
                skip_missing=False,
            )
            self._options_by_groups[groups] = {default.config_path for default in defaults.defaults}
            config = self.loader._compose_config_from_defaults_list(defaults.defaults, self._repository)
        except CONFIG_ERRORS as error:
            raise UserError(format_config_error(error)) from error
        OmegaConf.set_struct(config, True)
        _allow_keys_in_empty(config)
        return config

    def compose_slowly(self, overrides: Sequence[str]) -> dict[str, Any]:
        """Return a single point's composition by Hydra's own slow way, for the test of the fast one."""
        config = self.loader.load_configuration(self._primary_config, list(overrides), run_mode=RunMode.RUN)
        with open_dict(config):
            del config["hydra"]
        return _convert_to_dict(config)


def _has_nested_sweep(value: Any) -> bool:
    if isinstance(value, dict):
        entries = list(value.values())
    elif isinstance(value, list):
        entries = value
    else:
        return False
    return any(isinstance(entry, Sweep) or _has_nested_sweep(entry) for entry in entries)


def _convert_to_dict(config: DictConfig, must_be_complete: bool = True) -> dict[str, Any]:
    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=must_be_complete)
    except MissingMandatoryValue as error:
        raise UserError(f"{error.full_key} must be set: {error.full_key}=…") from error
    except OmegaConfBaseException as error:
        raise UserError(format_config_error(error)) from error
    return plain  # type: ignore[return-value]


def _allow_keys_in_empty(config: DictConfig) -> None:
    """Let a knob whose default is {} take any keys."""
    for node in config._content.values():  # type: ignore[union-attr]
        if not isinstance(node, DictConfig) or node._is_none() or node._is_missing():
            continue
        if len(node) == 0:
            OmegaConf.set_struct(node, False)
        else:
            _allow_keys_in_empty(node)


def _explain_failed_override(text: str, override: HydraOverride, composed: Mapping[str, Any], error: Exception) -> str:
    """Say why a value could not be set: most often a part of its key is not there."""
    node: Any = composed
    parts = override.key_or_group.split(".")
    for index, part in enumerate(parts):
        if not isinstance(node, Mapping):
            return f"{text}: {'.'.join(parts[:index])} is a value, it has no keys"
        if part not in node:
            keys = [key for key in node if not str(key).startswith("_")]
            hint = suggest_key_of_group(".".join(parts[:index]), part) or suggest_nearest(part, keys)
            return f"{'.'.join(parts[: index + 1])}: no such key{hint}"
        node = node[part]
    return f"{text}: {format_config_error(error)}"
