"""Launchers: the group `hydra/launcher` composed, and what it names built to start workers."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, RunMode
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf, open_dict

from convarium.compose.hydra_errors import CONFIG_ERRORS, format_config_error
from convarium.compose.hydra_files import LAUNCHER_GROUP
from convarium.compose.override_quoting import quote_text
from convarium.config.messages import suggest_nearest
from convarium.config.override import Override
from convarium.config.search_path import add_shadowing_hint
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.workers.backend import Backend
    from convarium.workers.run_file import Run

LAUNCH_CONFIG = "launch"
OWN_LAUNCHER = f"{LAUNCHER_GROUP}/local"
PACKAGES = {  # of Hydra's launchers that are not installed with it
    "joblib": "hydra-joblib-launcher",
    "ray": "hydra-ray-launcher",
    "ray_aws": "hydra-ray-launcher",
    "rq": "hydra-rq-launcher",
    "submitit_local": "hydra-submitit-launcher",
    "submitit_slurm": "hydra-submitit-launcher",
}


def run_launched_worker(config: DictConfig) -> None:
    """Be worker `runtime.worker` of the plan in the file `runtime.plan`: the task that launchers are given."""
    from convarium.workers.worker_process import run_worker

    run_worker(Path(config.runtime.plan), int(config.runtime.worker))


def compose_launcher_config(loader: ConfigLoaderImpl, settings: Sequence[str], store: Path, workers: int) -> DictConfig:
    """Return the config of a launcher; `settings` are the typed `hydra/launcher=…` and `hydra.launcher.…`.

    Raises:
        UserError: no such launcher or setting.
    """
    texts = [*settings, f"runtime.store={quote_text(str(store))}", f"runtime.workers={workers}"]
    try:
        config = loader.load_configuration(LAUNCH_CONFIG, texts, run_mode=RunMode.MULTIRUN)
        HydraConfig.instance().set_config(config)
        launcher = OmegaConf.to_container(config.hydra.launcher, resolve=True, throw_on_missing=True)
        if not isinstance(launcher, dict) or "_target_" not in launcher:
            raise UserError("no launcher: it has no _target_")
    except CONFIG_ERRORS as error:
        missing_file = getattr(error, "missing_cfg_file", None) or ""
        line = _describe_missing_launcher(missing_file, loader) or format_config_error(error)
        message = f"{' '.join(settings) or LAUNCHER_GROUP}: {line}"
        raise UserError(add_shadowing_hint(message, {OWN_LAUNCHER})) from error
    return config


def _describe_missing_launcher(missing_file: str, loader: ConfigLoaderImpl) -> str:
    """Return the line of a launcher that Hydra doesn't find; "" where something else is missing."""
    group, _, name = missing_file.rpartition("/")
    if group != LAUNCHER_GROUP:
        return ""
    if name in PACKAGES:
        return f"{name} comes with {PACKAGES[name]}, which is not installed"
    return f"there is no launcher {name}{suggest_nearest(name, loader.get_group_options(LAUNCHER_GROUP))}"


def build_backend_builder(config: DictConfig) -> Callable[["Run"], "Backend"]:
    """Return what makes the backend of a run: what the launcher's `_target_` names, or one of Hydra's launchers in it.

    Args:
        config: of the launcher, from `compose_launcher_config`.

    Raises:
        UserError: Hydra knows no such launcher, or it refuses its settings, or the target can't be imported.
    """
    try:
        target = get_object(config.hydra.launcher._target_)
    except (*CONFIG_ERRORS, ImportError) as error:
        raise _build_launcher_error(error) from error
    if not (isinstance(target, type) and issubclass(target, Launcher)):
        return lambda run: _instantiate_backend(config, run)
    from convarium.workers.launcher_backend import LauncherBackend

    launch = build_launch_function(config)
    return lambda run: LauncherBackend(run, launch)


def find_scheduler(config: DictConfig) -> str | None:
    """Return whose jobs a launcher's workers are; None where they are processes that end with their controller.

    Args:
        config: of the launcher, from `compose_launcher_config`, which `build_backend_builder` has taken.
    """
    scheduler: str | None = getattr(get_object(config.hydra.launcher._target_), "scheduler", None)
    return scheduler


def has_lasting_workers(config: DictConfig) -> bool:
    """Whether a launcher's workers are started by others, and outlive their controller.

    Args:
        config: of the launcher, from `compose_launcher_config`, which `build_backend_builder` has taken.
    """
    return bool(getattr(get_object(config.hydra.launcher._target_), "outlives_controller", False))


def list_settings(config: DictConfig) -> dict[str, Any]:
    """Return the settings of a launcher, without what tells Hydra how it is made.

    Args:
        config: of the launcher, from `compose_launcher_config`.
    """
    launcher = OmegaConf.to_container(config.hydra.launcher, resolve=True)
    assert isinstance(launcher, dict), "it was checked when it was composed"
    return {str(key): value for key, value in launcher.items() if not str(key).startswith("_")}


def build_launch_function(
    config: DictConfig, task: Callable[[DictConfig], None] = run_launched_worker
) -> Callable[[list[list[str]]], None]:
    """Return `launch(jobs)`: a launcher of Hydra's that does `task` for each job's `+key=value` texts, and blocks.

    Args:
        config: of the launcher, from `compose_launcher_config`.

    Raises:
        UserError: Hydra knows no such launcher, or it refuses its settings.
    """
    try:
        plugin = Plugins.instance().instantiate_launcher(
            hydra_context=HydraContext(
                config_loader=cast(ConfigLoader, FrozenConfigLoader()), callbacks=Callbacks(config)
            ),
            task_function=task,
            config=config,
        )
    except (*CONFIG_ERRORS, RuntimeError, ImportError) as error:
        raise _build_launcher_error(error) from error
    job_count = 0

    def launch(jobs: list[list[str]]) -> None:
        # A launcher names its jobs' files by their index, which must be another in a later round.
        nonlocal job_count
        initial_index, job_count = job_count, job_count + len(jobs)
        plugin.launch(jobs, initial_job_idx=initial_index)

    return launch


def _instantiate_backend(config: DictConfig, run: "Run") -> "Backend":
    try:
        # Hydra would make a config of a dataclass that it is given, so the run is not among its arguments.
        build = instantiate(config.hydra.launcher, _partial_=True, _convert_="all")
        backend: Backend = build(run=run)
    except Exception as error:
        raise _build_launcher_error(error) from error
    missing = [name for name in ("submit", "states", "cancel") if not hasattr(backend, name)]
    if missing:
        raise UserError(
            f"{LAUNCHER_GROUP}: {config.hydra.launcher._target_} is neither a launcher of Hydra's nor a backend:"
            f" it has no {missing[0]}()"
        )
    return backend


def _build_launcher_error(error: BaseException) -> UserError:
    return UserError(add_shadowing_hint(f"{LAUNCHER_GROUP}: {format_config_error(error)}", {OWN_LAUNCHER}))


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
