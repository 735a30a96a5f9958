"""From a command line to a search that runs: its settings, its space, its folder, its workers."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import optuna

from convarium.compose.hydra_adapter import Composer
from convarium.compose.hydra_launcher import build_backend_builder, compose_launcher_config
from convarium.compose.points import split_arguments
from convarium.compose.search_config import compose_search_settings
from convarium.compose.store_access import open_store
from convarium.compose.worker_counts import count_devices, count_threads, count_workers
from convarium.config import search_path
from convarium.config.override import Override
from convarium.errors import UserError
from convarium.planning.host_check import check_devices, is_launched_here
from convarium.search.evaluator import build_evaluator
from convarium.search.limits import parse_limits
from convarium.search.measures import parse_objectives
from convarium.search.search import Search, compute_search_signature
from convarium.search.search_folder import open_search_folder
from convarium.search.strategy import find_strategy
from convarium.search.study import Study, ToldTrial
from convarium.search.summary import summarise_search
from convarium.search.typed_space import build_typed_space
from convarium.workers.open_run import OpenRun, OpenRunSettings

REFUSED_KEYS = {
    "sweep": "a sweep lists its points: convarium run",
    "hparams_search": "here the space is what is typed: convarium search recipe.lr=… search.trials=…",
}


def run_search(arguments: Sequence[Override], show: Callable[[ToldTrial], None] | None) -> dict[str, Any]:
    """Run a search, or go on with it; return what it found (`search.summary`)."""
    start = time.monotonic()
    search, launcher = build_search(arguments)
    runtime = search.compose_points([text for text in search.fixed if text.group == "runtime"])[0].config["runtime"]
    store = open_store(runtime)
    store.prepare()
    folder, owner = open_search_folder(store, compute_search_signature(search.describe()))
    try:
        other_version = folder.write_description(search.describe(), optuna.__version__)
        if other_version is not None:
            print(f"convarium: this search was begun with Optuna {other_version}, here is {optuna.__version__}")
        workers = count_workers(runtime)
        config = compose_launcher_config(search.composer.loader, launcher, store.root.resolve(), workers)
        devices = count_devices(runtime)
        if is_launched_here(launcher):
            check_devices(devices)
        threads = count_threads(runtime, workers, config.hydra.launcher)
        settings = OpenRunSettings(workers, threads, devices, runtime["idle_minutes"])
        build_backend = build_backend_builder(config)

        def begin_run() -> OpenRun:
            return OpenRun.begin_or_attach(owner, store, settings, build_backend)

        study = Study(search, folder, owner, store, begin_run, show)
        study.run()
        summary = summarise_search(search, folder, study.study, study.asked)
    finally:
        owner.release()
    return {**summary, "seconds": round(time.monotonic() - start, 1)}


def build_search(arguments: Sequence[Override]) -> tuple[Search, tuple[Override, ...]]:
    """Return the search that a command line asks for, and the settings of its launcher.

    Raises:
        UserError: the first mistake, in one line.
    """
    for override in arguments:
        if override.key in REFUSED_KEYS:
            raise UserError(f"{override}: {REFUSED_KEYS[override.key]}")
        if override.key == "hydra/sweeper":
            raise UserError(f"{override}: a search chooses by search/strategy=tpe, random or another")
    of_search = [override for override in arguments if override.key.partition("/")[0].partition(".")[0] == "search"]
    typed, launcher, _ = split_arguments([override for override in arguments if override not in of_search])
    folders = search_path.list_search_folders("conf")
    settings = compose_search_settings(folders, of_search)
    composer = Composer(folders)
    evaluator, offers = build_evaluator(settings.evaluator)
    line = build_typed_space(composer, typed)
    search = Search(
        composer=composer,
        space=line.space,
        fixed=line.fixed,
        seeds=line.seeds,
        strategy=find_strategy(settings.strategy),
        evaluator=evaluator,
        offers=offers,
        objectives=parse_objectives(settings.own.objectives, offers),
        limits=parse_limits(settings.own.constraints, offers),
        settings=settings,
    )
    return search, launcher
