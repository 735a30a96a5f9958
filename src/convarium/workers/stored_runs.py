"""The runs in a store: which of them go on, and which ended with a kill."""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from convarium.errors import UserError
from convarium.planning.plan import Plan
from convarium.planning.plan_file import read_plan
from convarium.store import disk
from convarium.store.store import Store
from convarium.workers.lease import LeaseManager
from convarium.workers.open_plan import read_newest_plan
from convarium.workers.run_file import Run, is_process_dead
from convarium.workers.run_folder import RUN_FILE, is_run_folder
from convarium.workers.run_owner import read_owned_run_id
from convarium.workers.scheduler import may_have_workers


def remove_dead_runs(store: Store) -> None:
    """Remove the folders of runs that nobody will go on with."""
    for folder in list(find_dead_runs(store)):
        shutil.rmtree(folder, ignore_errors=True)


def find_dead_runs(store: Store) -> Iterator[Path]:
    """Yield the folders of runs that nobody will go on with.

    Those are runs whose controller was killed, and that have no owner; of those with an owner, runs without a living
    place or a job in a scheduler's queue that no living owner names.
    """
    for folder, run in _list_runs(store):
        if run is not None and _is_dead(run, store.root):
            yield folder


def find_living_runs(store: Store) -> Iterator[tuple[Path, Run | None]]:
    """Yield the folder of each run that may be going on, and the run, None where its file can't be read.

    A run on another host counts as living as long as its file exists: this host can't see its controller.
    """
    for folder, run in _list_runs(store):
        if run is None or not _is_dead(run, store.root):
            yield folder, run


def find_scheduler_runs(store: Store) -> Iterator[Run]:
    """Yield the runs whose workers are a scheduler's jobs, also those that nobody will go on with."""
    for _, run in _list_runs(store):
        if run is not None and run.scheduler is not None:
            yield replace(run, store=store.root)


def read_run_plan(folder: Path, run: Run | None) -> Plan:
    """Return the plan of a run as `find_living_runs` yields it.

    Raises:
        UserError: the run's file or its plan is damaged.
        OSError: the plan can't be read.
    """
    if run is None:
        raise UserError(f"{folder / RUN_FILE} is damaged or can't be read")
    if run.plan is None:
        return read_newest_plan(folder, with_points=True)[1]
    # Not run.plan itself: another host may have written it, where the store is mounted at another path.
    return read_plan(folder.parents[1] / "plans" / run.plan.name)


def _list_runs(store: Store) -> Iterator[tuple[Path, Run | None]]:
    """Yield the folder of each run and the run, None where its file can't be read or belongs to another folder."""
    for folder in disk.list_folder(store.root / "runs"):
        file = folder / RUN_FILE
        # lexists, since a link that leads nowhere is a damaged run, which must be reported, and not a finished one
        if not is_run_folder(folder) or folder.is_symlink() or not os.path.lexists(file):
            continue
        run: Run | None = None
        with suppress(UserError, OSError):
            run = Run.read(file)
        if run is not None and run.id != folder.name:  # a copy: its controller says nothing about this folder
            run = None
        yield folder, run


def _is_dead(run: Run, root: Path) -> bool:
    """Whether nobody will go on with a run of the store at `root`."""
    if run.owner is None:
        return is_process_dead(run.controller)
    # Not run.store: another host may have written it, where the store is mounted at another path.
    return not _is_controlled(run, root / run.owner) and not may_have_workers(replace(run, store=root))


def _is_controlled(run: Run, owner_folder: Path) -> bool:
    """Whether the owner of a run names it, and has a living controller."""
    lease_info = LeaseManager(run.id).read(owner_folder)
    return lease_info is not None and lease_info.state == "alive" and read_owned_run_id(owner_folder) == run.id
