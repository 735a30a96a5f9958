"""All that touches Hydra's internals: the search path, the override grammar, composition, launchers.

Written against Hydra 1.3; tests/compose/test_hydra_adapter.py compares this fast way of composing with Hydra's own, and
fails when an internal name moves.
"""

import copy
import itertools
import pickle
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isnan
from pathlib import Path
from typing import Any, cast

from hydra import version
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, IConfigRepository
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.defaults_list import create_defaults_list
from hydra._internal.sources_registry import SourcesRegistry
from hydra._internal.utils import create_config_search_path
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override as HydraOverride
from hydra.core.override_parser.types import RangeSweep, Sweep
from hydra.core.plugins import Plugins
from hydra.core.utils import JobRuntime, setup_globals
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from yaml import YAMLError
from yaml.reader import ReaderError

from convarium.compose.independent_overrides import are_independent, find_missing_keys, get_value_at, merge_values
from convarium.compose.override_quoting import explain_unreadable, quote_path_values, quote_text
from convarium.config import search_path
from convarium.config.messages import suggest_nearest
from convarium.config.override import Override
from convarium.config.point import MAX_POINTS
from convarium.config.search_path import add_shadowing_hint
from convarium.errors import UserError

PRIMARY_CONFIG, LAUNCH_CONFIG, LAUNCHER_GROUP = "convarium", "launch", "hydra/launcher"
OWN_LAUNCHER = f"{LAUNCHER_GROUP}/local"
CONFIG_ERRORS = (HydraException, OmegaConfBaseException, YAMLError, ValueError, ArithmeticError, AssertionError)


class UserConfigSource(FileConfigSource):
    """The user's ./conf: searched first, for options of our groups, and for launchers that are not Hydra's own.

    It can't replace a primary config, nor what Hydra itself is made of (logging, output, sweeper …).
    """

    @staticmethod
    def scheme() -> str:
        return "options"

    def is_config(self, config_path: str) -> bool:
        group, _, name = config_path.rpartition("/")
        if group == LAUNCHER_GROUP:
            files_of_hydra = ConfigStore.instance().list(LAUNCHER_GROUP)
            is_allowed = f"{name}.yaml" not in files_of_hydra
        else:
            is_allowed = bool(group) and not group.startswith("hydra")
        return is_allowed and super().is_config(config_path)


class CopyingConfigRepository(CachingConfigRepository):
    """Reads each file once; composition changes what it is given, so everyone gets a copy."""

    def __init__(self, delegate: IConfigRepository) -> None:
        super().__init__(delegate)
        self._pickled_results: dict[str, bytes] = {}

    def load_config(self, config_path: str) -> ConfigResult | None:
        if config_path not in self._pickled_results:
            file = search_path.find_config_file("conf", config_path.removesuffix(".yaml"))
            if file is not None:
                search_path.read_config_text(file)  # whose mistakes name the file
            self._pickled_results[config_path] = pickle.dumps(super().load_config(config_path))
        result: ConfigResult | None = pickle.loads(self._pickled_results[config_path])
        return result


def run_launched_worker(config: DictConfig) -> None:
    """Be worker `runtime.worker` of the plan in the file `runtime.plan`: the task that launchers are given."""
    from convarium.workers.worker import run_worker

    run_worker(Path(config.runtime.plan), int(config.runtime.worker))


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

    def __init__(self, folders: Sequence[Path]) -> None:
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
                raise UserError(explain_unreadable(text, _format_config_error(error))) from error
        return self._parsed[text]

    def expand_override(self, override: Override, resolve_value: Callable[[Any], Any] | None = None) -> list[Override]:
        """Return an override for each value that one sweeps over, as `resolve_value` completes it."""
        parsed = self.parse(override)
        key = parsed.get_key_element()
        if parsed.is_delete():
            return [override]
        is_sweep = parsed.is_sweep_override()
        if is_sweep and not parsed.is_discrete_sweep():
            raise UserError(f"{override}: an interval has no points; write the values, or range(start,stop,step)")
        try:
            _refuse_huge_range(parsed._value)
            values: list[Any] = list(parsed.sweep_iterator()) if is_sweep else [parsed._value]
        except CONFIG_ERRORS as error:
            raise UserError(f"{override}: {_format_config_error(error)}") from error
        if not values:
            raise UserError(f"{override} has no value")
        if _has_nested_sweep(values):
            raise UserError(f"{override}: a list can't hold a sweep; write the lists one after another: {key}=[…],[…]")
        if resolve_value:
            values = [resolve_value(HydraOverride._convert_value(value)) for value in values]
        return [Override(f"{key}={HydraOverride._get_value_element_as_str(value)}") for value in values]

    def compose_groups(self, groups: tuple[str, ...]) -> dict[str, Any]:
        """Return what the group choices alone compose to, as a plain dict; composed once for each distinct tuple.

        Raises:
            UserError: a file is missing or unreadable, said in one line.
        """
        return self._compose_groups_once(groups).plain_config

    def compose_with_values(self, groups: tuple[str, ...], values: Sequence[str]) -> dict[str, Any]:
        """Return the composition of `groups` with `values` set by Hydra's own function, as a plain dict.

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
        return _convert_to_dict(self._apply_values(groups, values))

    def _compose_single_value(self, groups: tuple[str, ...], text: str) -> Any:
        """Return the value that an override gives its key in the composition of `groups`."""
        if (groups, text) not in self._single_values:
            config = _convert_to_dict(self._apply_values(groups, [text]), must_be_complete=False)
            self._single_values[groups, text] = get_value_at(config, self.parse(text).key_or_group)
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
                config_name=PRIMARY_CONFIG,
                overrides_list=[self.parse(text) for text in groups],
                prepend_hydra=False,
                skip_missing=False,
            )
            self._options_by_groups[groups] = {default.config_path for default in defaults.defaults}
            config = self.loader._compose_config_from_defaults_list(defaults.defaults, self._repository)
        except CONFIG_ERRORS as error:
            raise UserError(_format_config_error(error)) from error
        OmegaConf.set_struct(config, True)
        _allow_keys_in_empty(config)
        return config

    def compose_slowly(self, overrides: Sequence[str]) -> dict[str, Any]:
        """Return a single point's composition by Hydra's own slow way, for the test of the fast one."""
        config = self.loader.load_configuration(PRIMARY_CONFIG, list(overrides), run_mode=RunMode.RUN)
        with open_dict(config):
            del config["hydra"]
        return _convert_to_dict(config)

    def compose_launcher_config(self, settings: Sequence[str], store: Path, workers: int) -> DictConfig:
        """Return the config of a launcher; `settings` are the typed `hydra/launcher=…` and `hydra.launcher.…`.

        Raises:
            UserError: no such launcher or setting.
        """
        texts = [*settings, f"runtime.store={quote_text(str(store))}", f"runtime.workers={workers}"]
        try:
            config = self.loader.load_configuration(LAUNCH_CONFIG, texts, run_mode=RunMode.MULTIRUN)
            HydraConfig.instance().set_config(config)
            launcher = OmegaConf.to_container(config.hydra.launcher, resolve=True, throw_on_missing=True)
            if not isinstance(launcher, dict) or "_target_" not in launcher:
                raise UserError("no launcher: it has no _target_")
        except CONFIG_ERRORS as error:
            message = f"{' '.join(settings) or LAUNCHER_GROUP}: {_format_config_error(error)}"
            raise UserError(add_shadowing_hint(message, {OWN_LAUNCHER})) from error
        return config

    def build_launcher(
        self,
        settings: Sequence[str],
        store: Path,
        workers: int,
        task: Callable[[DictConfig], None] = run_launched_worker,
    ) -> Callable[[list[list[str]]], None]:
        """Return `launch(jobs)`: a stock launcher that does `task` for each job's `+key=value` texts, and blocks."""
        config = self.compose_launcher_config(settings, store, workers)
        try:
            plugin = Plugins.instance().instantiate_launcher(
                hydra_context=HydraContext(
                    config_loader=cast(ConfigLoader, FrozenConfigLoader()), callbacks=Callbacks(config)
                ),
                task_function=task,
                config=config,
            )
        except (*CONFIG_ERRORS, RuntimeError, ImportError) as error:
            message = f"{LAUNCHER_GROUP}: {_format_config_error(error)}"
            raise UserError(add_shadowing_hint(message, {OWN_LAUNCHER})) from error
        job_count = 0

        def launch(jobs: list[list[str]]) -> None:
            # A launcher names its jobs' files by their index, which must be another in a later round.
            nonlocal job_count
            initial_index, job_count = job_count, job_count + len(jobs)
            plugin.launch(jobs, initial_job_idx=initial_index)

        return launch


def _refuse_huge_range(value: Any) -> None:
    """Refuse a range of more values than points are taken at once, before they are listed."""
    if not isinstance(value, RangeSweep):
        return
    if value.step == 0 or any(isnan(number or 0) for number in (value.start, value.stop, value.step)):
        raise UserError("no range of numbers; write range(start,stop,step) with a step that is not 0")
    # Hydra would list all its values; whether there is one past the limit is enough to know.
    if next(itertools.islice(value.range(), MAX_POINTS, None), None) is not None:
        raise UserError(f"a range of more than {MAX_POINTS:,} values; at most so many points are taken at once")


def _has_nested_sweep(value: Any) -> bool:
    if isinstance(value, dict):
        entries = list(value.values())
    elif isinstance(value, list):
        entries = value
    else:
        return False
    return any(isinstance(entry, Sweep) or _has_nested_sweep(entry) for entry in entries)


class FrozenConfigLoader:
    """What a launcher composes a job with: the config it holds and the job's texts; no file is read again."""

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """Return a copy of the launcher's config with each `+key=value` set as it stands."""
        config = copy.deepcopy(master_config)
        OmegaConf.set_readonly(config.hydra, False)
        with open_dict(config):
            for override in map(Override, sweep_overrides):
                OmegaConf.update(config, override.key, override.value, force_add=True)
            config.hydra.overrides.task = list(sweep_overrides)
        return config


def _convert_to_dict(config: DictConfig, must_be_complete: bool = True) -> dict[str, Any]:
    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=must_be_complete)
    except MissingMandatoryValue as error:
        raise UserError(f"{error.full_key} must be set: {error.full_key}=…") from error
    except OmegaConfBaseException as error:
        raise UserError(_format_config_error(error)) from error
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
            return f"{'.'.join(parts[: index + 1])}: no such key{suggest_nearest(part, keys)}"
        node = node[part]
    return f"{text}: {_format_config_error(error)}"


def _format_config_error(error: BaseException) -> str:
    """Return the line of Hydra's, OmegaConf's or YAML's message that says what is wrong."""
    mark = getattr(error, "problem_mark", None)
    if isinstance(error, YAMLError) and mark is not None:
        problem = getattr(error, "problem", None) or "no YAML"
        return f"{mark.name} line {mark.line + 1}: {problem}"
    if isinstance(error, ReaderError):
        return f"{error.name}: no YAML: {error.reason}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    key = getattr(error, "full_key", None)
    if error.__cause__ is not None and (not lines or lines[0].startswith("Error merging")):
        return _format_config_error(error.__cause__)
    line = lines[0] if lines else type(error).__name__
    return f"{key}: {line}" if key and str(key) not in line else line
