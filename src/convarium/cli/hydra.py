"""All that touches Hydra's inside: the search path, the override grammar, composition, launchers.

Written against Hydra 1.3; tests/cli/test_hydra.py compares the fast way of composing with Hydra's own and fails when
an inner name moves.
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
from hydra._internal.config_repository import CachingConfigRepository
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.defaults_list import create_defaults_list
from hydra._internal.sources_registry import SourcesRegistry
from hydra._internal.utils import create_config_search_path
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep, Sweep
from hydra.core.plugins import Plugins
from hydra.core.utils import JobRuntime, setup_globals
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from yaml import YAMLError
from yaml.reader import ReaderError

from convarium.cli.independent import independent, laid, left_open, value_at
from convarium.cli.quoting import as_typed, quoted, unreadable
from convarium.config import places
from convarium.config.places import blamed
from convarium.config.point import MOST_POINTS
from convarium.config.words import suggestion
from convarium.errors import UserError

PRIMARY, LAUNCH, LAUNCHERS = "convarium", "launch", "hydra/launcher"
OURS = f"{LAUNCHERS}/local"
MISTAKES = (HydraException, OmegaConfBaseException, YAMLError, ValueError, ArithmeticError, AssertionError)


class GroupOptions(FileConfigSource):
    """The user's ./conf: searched first, for options of our groups, and for launchers that are not Hydra's own.

    So it can't replace a primary config, nor what Hydra itself is made of (logging, output, sweeper …).
    """

    @staticmethod
    def scheme() -> str:
        return "options"

    def is_config(self, config_path: str) -> bool:
        group, _, name = config_path.rpartition("/")
        is_ours = not group.startswith("hydra") or (group == LAUNCHERS and name not in _own_launchers())
        return bool(group) and is_ours and super().is_config(config_path)


def _own_launchers() -> list[str]:
    """Return the names of the launchers that Hydra and its installed plugins bring."""
    return [name.removesuffix(".yaml") for name in ConfigStore.instance().list(LAUNCHERS)]


class FreshCopies(CachingConfigRepository):
    """Reads each file once; composition changes what it is given, so everyone gets a copy."""

    def load_config(self, config_path: str) -> ConfigResult | None:
        if (file := places.file("conf", config_path.removesuffix(".yaml"))) is not None:
            places.text(file)  # whose mistakes name the file
        return copy.deepcopy(super().load_config(config_path))


def pull(config: DictConfig) -> None:
    """A launcher's task: be worker `runtime.worker` of the plan in the file `runtime.plan`."""
    from convarium.store.worker import work

    work(Path(config.runtime.plan), int(config.runtime.worker))


@dataclass(frozen=True)
class Composed:
    """A composition of groups: to be set further, as plain dict; its keys that are open still (`left_open`)."""

    pickled: bytes
    plain: dict[str, Any]
    left_open: frozenset[str] | None


class Composer:
    """Composes configs from the folders of a search path, the last of which is ours."""

    def __init__(self, folders: Sequence[Path]) -> None:
        version.setbase("1.3")
        setup_globals()
        JobRuntime.instance().set("name", "convarium")
        Plugins.instance()
        SourcesRegistry.instance().register(GroupOptions)
        path = create_config_search_path(f"file://{folders[-1]}")
        for folder in reversed(folders[:-1]):
            path.prepend("user", f"options://{folder}")
        self.loader = ConfigLoaderImpl(path)
        self._parsed: dict[str, Override] = {}
        self._composed: dict[tuple[str, ...], Composed] = {}
        self._options: dict[tuple[str, ...], Collection[str | None]] = {}
        self._values: dict[tuple[tuple[str, ...], str], Any] = {}

    @cached_property
    def _repository(self) -> FreshCopies:
        return FreshCopies(self.loader.repository)

    @cached_property
    def _parser(self) -> OverridesParser:
        return OverridesParser.create(config_loader=self.loader)

    def parse(self, text: str) -> Override:
        """Return the parsed override.

        Raises:
            UserError: the text is no `key=value` of Hydra's grammar.
        """
        if text not in self._parsed:
            readable = as_typed(text)
            try:
                self._parsed[text] = self._parser.parse_overrides([readable])[0]
            except MISTAKES as error:
                raise UserError(unreadable(text, _said(error))) from error
        return self._parsed[text]

    def alternatives(self, text: str, name: Callable[[Any], Any] | None = None) -> tuple[str, list[str]]:
        """Return an override's key and one override for each value it sweeps over; `name` maps values (short names)."""
        override = self.parse(text)
        key = override.get_key_element()
        if override.is_delete():
            return key, [text]
        if override.is_sweep_override() and not override.is_discrete_sweep():
            raise UserError(f"{text}: an interval has no points; write the values, or range(start,stop,step)")
        swept = override.is_sweep_override()
        try:
            _refuse_endless(override._value)
            values: list[Any] = list(override.sweep_iterator()) if swept else [override._value]
        except MISTAKES as error:
            raise UserError(f"{text}: {_said(error)}") from error
        if not values:
            raise UserError(f"{text} has no value")
        if _holds_sweep(values):
            raise UserError(f"{text}: a list can't hold a sweep; write the lists one after another: {key}=[…],[…]")
        named = [name(Override._convert_value(value)) for value in values] if name else values
        return key, [f"{key}={Override._get_value_element_as_str(value)}" for value in named]

    def compose(self, groups: tuple[str, ...]) -> dict[str, Any]:
        """Return what the group choices alone compose to, as a plain dict; composed once for each distinct tuple.

        Raises:
            UserError: a file is missing or unreadable, said in one line.
        """
        return self._base(groups).plain

    def set(self, groups: tuple[str, ...], values: Sequence[str]) -> dict[str, Any]:
        """Return the composition of `groups` with `values` set by Hydra's own function, as a plain dict.

        Raises:
            UserError: a key that is not there, or a value its place can't take.
        """
        overrides = [self.parse(text) for text in values]
        if independent(overrides, self._base(groups).left_open):
            together = {
                one.key_or_group: self._alone(groups, text) for one, text in zip(overrides, values, strict=True)
            }
            return laid(self.compose(groups), together)
        return _plain(self._set(groups, values))

    def _alone(self, groups: tuple[str, ...], text: str) -> Any:
        """Return the value that an override gives its key in the composition of `groups`."""
        if (groups, text) not in self._values:
            config = _plain(self._set(groups, [text]), complete=False)
            self._values[groups, text] = value_at(config, self.parse(text).key_or_group)
        return self._values[groups, text]

    def _set(self, groups: tuple[str, ...], values: Sequence[str]) -> DictConfig:
        config: DictConfig = pickle.loads(self._base(groups).pickled)
        for text in values:
            try:
                ConfigLoaderImpl._apply_overrides_to_config([self.parse(text)], config)
            except MISTAKES as error:
                raise UserError(_not_set(text, self.parse(text), self.compose(groups), error)) from error
        return config

    def _base(self, groups: tuple[str, ...]) -> Composed:
        if groups not in self._composed:
            config = self._compose(groups)
            written = cast(dict[str, Any], OmegaConf.to_container(config))
            plain = _plain(config, complete=False)
            self._composed[groups] = Composed(pickle.dumps(config), plain, left_open(written))
        return self._composed[groups]

    def options(self, groups: tuple[str, ...]) -> Collection[str | None] | None:
        """Return the options, such as "recipe/adam", that group choices were composed of; None if they can't be."""
        return self._options.get(groups)

    def _compose(self, groups: tuple[str, ...]) -> DictConfig:
        """Compose as Hydra does, without its own node (no result depends on it), reading each file once."""
        try:
            defaults = create_defaults_list(
                repo=self._repository,
                config_name=PRIMARY,
                overrides_list=[self.parse(text) for text in groups],
                prepend_hydra=False,
                skip_missing=False,
            )
            self._options[groups] = {default.config_path for default in defaults.defaults}
            config = self.loader._compose_config_from_defaults_list(defaults.defaults, self._repository)
        except MISTAKES as error:
            raise UserError(_said(error)) from error
        OmegaConf.set_struct(config, True)
        _open_empty(config)
        return config

    def fully(self, overrides: Sequence[str]) -> dict[str, Any]:
        """Return a single point's composition by Hydra's own slow way, for the test of the fast one."""
        config = self.loader.load_configuration(PRIMARY, list(overrides), run_mode=RunMode.RUN)
        with open_dict(config):
            del config["hydra"]
        return _plain(config)

    def launch_config(self, settings: Sequence[str], store: Path, workers: int) -> DictConfig:
        """Return the config of a launcher; `settings` are the typed `hydra/launcher=…` and `hydra.launcher.…`.

        Raises:
            UserError: no such launcher or setting.
        """
        texts = [*settings, f"runtime.store={quoted(str(store))}", f"runtime.workers={workers}"]
        try:
            config = self.loader.load_configuration(LAUNCH, texts, run_mode=RunMode.MULTIRUN)
            HydraConfig.instance().set_config(config)
            found = OmegaConf.to_container(config.hydra.launcher, resolve=True, throw_on_missing=True)
            if not isinstance(found, dict) or "_target_" not in found:
                raise UserError("no launcher: it has no _target_")
        except MISTAKES as error:
            raise UserError(blamed(f"{' '.join(settings) or LAUNCHERS}: {_said(error)}", {OURS})) from error
        return config

    def launcher(
        self, settings: Sequence[str], store: Path, workers: int, task: Callable[[DictConfig], None] = pull
    ) -> Callable[[list[list[str]]], None]:
        """Return `launch(jobs)`: a stock launcher that does `task` for each job's `+key=value` texts, and blocks."""
        config = self.launch_config(settings, store, workers)
        try:
            plugin = Plugins.instance().instantiate_launcher(
                hydra_context=HydraContext(config_loader=cast(ConfigLoader, Frozen()), callbacks=Callbacks(config)),
                task_function=task,
                config=config,
            )
        except (*MISTAKES, RuntimeError, ImportError) as error:
            raise UserError(blamed(f"{LAUNCHERS}: {_said(error)}", {OURS})) from error
        count = itertools.count()

        def launch(jobs: list[list[str]]) -> None:
            first = [next(count) for _ in jobs]
            plugin.launch(jobs, initial_job_idx=first[0] if first else 0)

        return launch


def _refuse_endless(value: Any) -> None:
    """Refuse a range of more values than points are taken at once, before they are listed."""
    if not isinstance(value, RangeSweep):
        return
    if value.step == 0 or any(isnan(number or 0) for number in (value.start, value.stop, value.step)):
        raise UserError("no range of numbers; write range(start,stop,step) with a step that is not 0")
    if any(True for _ in itertools.islice(value.range(), MOST_POINTS, None)):
        raise UserError(f"a range of more than {MOST_POINTS:,} values; at most so many points are taken at once")


def _holds_sweep(value: Any) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(isinstance(one, Sweep) or _holds_sweep(one) for one in inner)


class Frozen:
    """What a launcher composes a job with: the config it holds and the job's texts; no file is read again."""

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """Return a copy of the launcher's config with each `+key=value` set as it stands."""
        config = copy.deepcopy(master_config)
        OmegaConf.set_readonly(config.hydra, False)
        with open_dict(config):
            for text in sweep_overrides:
                key, _, value = text.lstrip("+").partition("=")
                OmegaConf.update(config, key, value, force_add=True)
            config.hydra.overrides.task = list(sweep_overrides)
        return config


def _plain(config: DictConfig, complete: bool = True) -> dict[str, Any]:
    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=complete)
    except MissingMandatoryValue as error:
        raise UserError(f"{error.full_key} must be set: {error.full_key}=…") from error
    except OmegaConfBaseException as error:
        raise UserError(_said(error)) from error
    return plain  # type: ignore[return-value]


def _open_empty(config: DictConfig) -> None:
    """A knob whose default is {} takes any keys."""
    for node in config._content.values():  # type: ignore[union-attr]
        if isinstance(node, DictConfig) and not node._is_none() and not node._is_missing():
            OmegaConf.set_struct(node, False) if len(node) == 0 else _open_empty(node)


def _not_set(text: str, override: Override, composed: Mapping[str, Any], error: Exception) -> str:
    """Say why a value could not be set: most often a part of its key is not there."""
    node: Any = composed
    parts = override.key_or_group.split(".")
    for index, part in enumerate(parts):
        if not isinstance(node, Mapping):
            return f"{text}: {'.'.join(parts[:index])} is a value, it has no keys"
        if part not in node:
            keys = [key for key in node if not str(key).startswith("_")]
            return f"{'.'.join(parts[: index + 1])}: no such key{suggestion(part, keys)}"
        node = node[part]
    return f"{text}: {_said(error)}"


def _said(error: BaseException) -> str:
    """Return the line of Hydra's, OmegaConf's or YAML's message that says what is wrong."""
    mark = getattr(error, "problem_mark", None)
    if isinstance(error, YAMLError) and mark is not None:
        return f"{mark.name} line {mark.line + 1}: {getattr(error, 'problem', None) or 'no YAML'}"
    if isinstance(error, ReaderError):
        return f"{error.name}: no YAML: {error.reason}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    key = getattr(error, "full_key", None)
    if error.__cause__ is not None and (not lines or lines[0].startswith("Error merging")):
        return _said(error.__cause__)
    line = lines[0] if lines else type(error).__name__
    return f"{key}: {line}" if key and str(key) not in line else line
