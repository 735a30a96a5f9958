"""A search of a command line, from its folder in the store to what it found."""

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import optuna

from convarium.compose.hydra_launcher import build_backend_builder, compose_launcher_config, find_scheduler
from convarium.compose.store_access import open_store
from convarium.compose.task_devices import check_task_devices
from convarium.compose.worker_counts import count_devices, count_threads, count_workers
from convarium.config.override import Override
from convarium.errors import UserError
from convarium.planning.host_check import check_devices, check_host, is_launched_here
from convarium.search.audit import audit_search
from convarium.search.command_line import SearchRequest, parse_command_line
from convarium.search.found_sweep import check_found_file, write_found_sweep
from convarium.search.search import compute_search_signature
from convarium.search.search_folder import SEARCHES_FOLDER, SearchFolder, has_search, open_search_folder
from convarium.search.study import Study, ToldTrial
from convarium.search.summary import summarise_search
from convarium.store.disk import cache_folder_of
from convarium.store.store import Store
from convarium.workers.lease import LeaseLost
from convarium.workers.open_run import OpenRun, OpenRunSettings
from convarium.workers.run_owner import RunOwner


def run_search(arguments: Sequence[Override], show: Callable[[ToldTrial], None] | None) -> dict[str, Any]:
    """Run a search, or go on with it; return what it found (`search.summary`).

    Args:
        show: is told of each trial.

    Raises:
        UserError: a mistake in the command line, or one that ends the search.
        KeyboardInterrupt: the user stopped it.
    """
    start = time.monotonic()
    request = parse_command_line(arguments)
    store = open_store(request.runtime)
    own = request.search.settings.own
    if own.save is not None:
        check_found_file(own.save, compute_search_signature(request.search.describe()))
    summary = _run_one_search(request, store, show)
    if own.control is not None and own.control != request.search.settings.strategy["name"]:
        control = parse_command_line(_list_control_arguments(arguments, own.control))
        summary["control"] = _run_one_search(control, store, show)["study"]
    summary["audit"] = audit_search(request.search, SearchFolder(Path(summary["path"])), store, summary["best"])
    if own.save is not None and summary["best"]:
        found = [best["overrides"] for best in summary["best"]]
        sweep = write_found_sweep(request.search, own.save, summary["study"], found)
        summary["best"] = [{**best, "found": sweep} for best in summary["best"]]
    return {**summary, "seconds": round(time.monotonic() - start, 1)}


def _run_one_search(request: SearchRequest, store: Store, show: Callable[[ToldTrial], None] | None) -> dict[str, Any]:
    search = request.search
    description = search.describe()
    signature = compute_search_signature(description)
    begin_run = _prepare_run(request, store)
    if not has_search(store, signature):
        _check_this_host(request, store)
    store.prepare()
    folder, owner = open_search_folder(store, signature)
    try:
        other_version = folder.write_description(description, optuna.__version__)
        if other_version is not None:
            text = f"this search was begun with Optuna {other_version}, and goes on with {optuna.__version__}"
            print(f"convarium: {text}", file=sys.stderr)
        study = Study(search, folder, owner, store, partial(begin_run, owner), show, request.step_count)
        try:
            study.run()
        except LeaseLost:
            raise UserError(f"another process has taken this search over: {folder.path}") from None
        path = str(store.root / SEARCHES_FOLDER / signature)  # as the user named the store
        return {**summarise_search(search, folder, study.study, study.asked), "path": path}
    finally:
        owner.release()


def _list_control_arguments(arguments: Sequence[Override], strategy: str) -> list[Override]:
    """Return the command line of the control: the same search by another strategy."""
    own_keys = ("search/strategy", "search.save", "search.control")
    kept = [
        override
        for override in arguments
        if override.key not in own_keys and not override.key.startswith("search.strategy.")
    ]
    return [*kept, Override(f"search/strategy={strategy}")]


def _check_this_host(request: SearchRequest, store: Store) -> None:
    """Check that this host has the data and the accelerator that a trial needs, where its workers start."""
    trial = request.possible_trial
    if trial is not None and is_launched_here(request.launcher_overrides):
        check_host(list(trial.nodes.values()), cache_folder_of(store.root))


def _prepare_run(request: SearchRequest, store: Store) -> Callable[[RunOwner], OpenRun]:
    """Return what begins an owner's run or takes it over; mistakes in the launcher's settings are said at once."""
    runtime, composer = request.runtime, request.search.composer
    is_here = is_launched_here(request.launcher_overrides)
    workers, devices = count_workers(runtime, is_here), count_devices(runtime)
    config = compose_launcher_config(composer.loader, request.launcher_overrides, store.root.resolve(), workers)
    if is_here:
        check_devices(devices)
    check_task_devices(runtime, config.hydra.launcher)
    threads = count_threads(runtime, workers, config.hydra.launcher)
    settings = OpenRunSettings(workers, threads, devices, runtime["idle_minutes"], find_scheduler(config))
    build_backend = build_backend_builder(config)
    return lambda owner: OpenRun.begin_or_attach(owner, store, settings, build_backend)
