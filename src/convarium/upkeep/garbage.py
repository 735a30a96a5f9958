"""Find and remove the garbage of a store: results of other versions of the stages, failures, leftovers."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from convarium.planning.plan_file import list_plan_files, read_plan_without_points
from convarium.stages.declaration import StageDeclaration
from convarium.store import disk
from convarium.store.result_folder import ResultFolder
from convarium.store.store import Store, sanitize_name
from convarium.workers import owned_files
from convarium.workers.lease import LeaseManager
from convarium.workers.run_folder import RUN_FILE, is_run_folder
from convarium.workers.stored_runs import find_dead_runs, find_living_runs, read_run_plan

GARBAGE_KINDS = {
    "failed": "records of failures, with their logs",
    "left": "what killed commands left aside",
    "outdated": "results of another version of a stage, and what was made from them: named by signature only",
    "unreferenced": "results that nothing asks for any more, of all that is stored or of what --keep names",
    "unfinished": "checkpoints of stages that were stopped or failed: the same command would go on from them",
    "cache": "decoded images and the like beside the store: made again when they are needed",
}
ALWAYS_REMOVED_KINDS = ("failed", "left")
ABANDONED_AFTER_SECONDS = 86400  # a day: a younger folder may belong to a merge that still goes on


@dataclass(frozen=True)
class Garbage:
    """A folder, or some files in it, that may be removed.

    Attributes:
        kind: a key of GARBAGE_KINDS.
        signature: that of a result folder, "" for another folder.
        folder: the folder.
        bytes: the size of the files that may be removed.
        foreign_names: of what no stage wrote in a result folder; it is never removed, nor is the folder then.
    """

    kind: str
    signature: str
    folder: Path
    bytes: int
    foreign_names: tuple[str, ...] = ()


def find_garbage(
    store: Store, declared: Mapping[str, StageDeclaration], referenced_signatures: Set[str]
) -> Iterator[Garbage]:
    """Yield the garbage among the files that a store wrote; nothing of a stage that has a living owner.

    Args:
        declared: the stages as they are now; results of a stage that is not among them are kept.
        referenced_signatures: of results to keep. Adopted weights are kept anyhow: they can't be made again.
    """
    leases = LeaseManager("")  # it only reads leases, for which no run is needed
    outdated = OutdatedResults(store, declared)
    stage_folder_names = {sanitize_name(stage) for stage in declared}
    for signature, folder in store.list_folders():
        with suppress(OSError):  # a folder that can't be read may hold anything
            kind = _classify_folder(
                store, signature, folder, outdated, referenced_signatures, leases, stage_folder_names
            )
            if kind is not None and owned_files.is_made_by_store(folder, signature):
                yield from _list_folder_garbage(kind, signature, folder)
    for folder in _find_abandoned_folders(store, stage_folder_names):
        yield Garbage("left", "", folder, _measure_bytes([folder]))
    # A run that goes on may need its decoded images again, or be writing them.
    if any(find_living_runs(store)):
        return
    cache = disk.cache_folder_of(store.root)
    cache_files = list(owned_files.list_cache_files(cache))
    if cache_files:
        yield Garbage("cache", "", cache, _measure_bytes(cache_files))


def find_planned_signatures(store: Store, only_living: bool = False) -> set[str]:
    """Return the signatures of all plans in the store, or only of the plans of runs that may be going on.

    Raises:
        UserError: a plan is damaged, so that its signatures are not known.
        OSError: a plan can't be read.
    """
    runs = list(find_living_runs(store))
    if only_living:
        plans = [read_run_plan(folder, run) for folder, run in runs]
    else:
        plans = [read_plan_without_points(file) for file in list_plan_files(store.root)]
        plans += [read_run_plan(folder, run) for folder, run in runs if run is not None and run.is_open]
    return {signature for plan in plans for signature in plan.nodes}


def remove_garbage(garbage: Iterable[Garbage]) -> dict[Garbage, OSError]:
    """Remove garbage, except what somebody has taken up or finished since it was found.

    Of a failure with checkpoints only the record and the log are removed. Return what the disk refused to remove, with
    the error.
    """
    leases = LeaseManager(f"gc-{uuid4().hex}")
    refused: dict[Garbage, OSError] = {}
    for item in garbage:
        try:
            _remove_item(item, leases)
        except OSError as error:
            refused[item] = error
    return refused


def remove_result_folder(folder: Path) -> None:
    """Remove a result folder; if somebody else put files there, only our own files in it."""
    if not owned_files.list_foreign(folder):
        # In one step for all who look for the result: a kill from here on leaves a folder that no scan takes for one.
        folder = folder.rename(folder.with_name(f".gone.{uuid4().hex}"))
    for path in owned_files.list_owned(folder):
        owned_files.remove_path(path)
    _remove_empty_folders(folder)


def _remove_item(item: Garbage, leases: LeaseManager) -> None:
    if item.kind == "cache":
        for file in list(owned_files.list_cache_files(item.folder)):
            owned_files.remove_path(file)
            _remove_empty_folders(file.parent, file.parent.parent, item.folder)
    elif is_run_folder(item.folder):
        owned_files.remove_path(item.folder)
    elif item.kind in ("failed", "unfinished"):
        _remove_unfinished(item, leases)
    else:
        remove_result_folder(item.folder)


def _remove_unfinished(item: Garbage, leases: LeaseManager) -> None:
    """Remove a failure or an unfinished result under its lease, unless it has an owner or is finished by now."""
    lease = leases.take(item.folder)
    if lease is None:
        return
    is_finished = ResultFolder(item.folder).record.exists()
    if not is_finished and item.kind == "failed" and _has_checkpoints(item.folder):
        for path in _list_failure_files(item.folder):
            path.unlink()
    elif not is_finished:
        remove_result_folder(item.folder)
    lease.release()


def _remove_empty_folders(*folders: Path) -> None:
    for folder in folders:
        with suppress(OSError):  # rmdir refuses a folder that is not empty
            folder.rmdir()


class OutdatedResults:
    """Answers whether a result is outdated: of another version of its stage, or made from an outdated result."""

    def __init__(self, store: Store, declared: Mapping[str, StageDeclaration]) -> None:
        self._store, self._declared = store, declared
        self._outdated: dict[str, bool] = {}

    def is_outdated(self, signature: str) -> bool:
        """Whether the result of a signature is outdated; one that is not stored is not."""
        if signature not in self._outdated:
            record = self._store.find_record(signature)
            self._outdated[signature] = record is not None and self._is_record_outdated(record)
        return self._outdated[signature]

    def _is_record_outdated(self, record: Mapping[str, Any]) -> bool:
        declaration = self._declared.get(record["stage"])
        if declaration is not None and declaration.version != record["version"]:
            return True
        return any(self.is_outdated(parent) for parent in record["parents"])

    def is_repeatable(self, stage: str) -> bool:
        """Whether results of a stage can be made again from their configs."""
        return stage not in self._declared or self._declared[stage].is_repeatable


def _classify_folder(
    store: Store,
    signature: str,
    folder: Path,
    outdated: OutdatedResults,
    referenced_signatures: Set[str],
    leases: LeaseManager,
    stage_folder_names: Set[str],
) -> str | None:
    """Return the kind of garbage that a result folder is, None if it is to be kept."""
    if signature in store.unreadable:
        return None
    record = store.find_record(signature)
    if record is not None:
        stage = record["stage"]
        if folder.parent.name != sanitize_name(stage):
            return None  # somebody moved it where no stage puts its results
        if outdated.is_outdated(signature):
            return "outdated"
        is_needed = signature in referenced_signatures or not outdated.is_repeatable(stage)
        return None if is_needed else "unreferenced"
    if folder.parent.name not in stage_folder_names:
        return None
    lease_info = leases.read(folder)
    if lease_info is not None and lease_info.state == "alive":
        return None
    return "failed" if ResultFolder(folder).failure.exists() else "unfinished"


def _list_folder_garbage(kind: str, signature: str, folder: Path) -> list[Garbage]:
    """Return the garbage in a result folder: of a failure its record and, apart, the checkpoints to resume from."""
    foreign_names = tuple(path.name for path in owned_files.list_foreign(folder))
    owned_bytes = _measure_bytes(owned_files.list_owned(folder))
    if kind != "failed" or not _has_checkpoints(folder):
        return [Garbage(kind, signature, folder, owned_bytes, foreign_names)]
    failure_bytes = _measure_bytes(_list_failure_files(folder))
    return [
        Garbage("failed", signature, folder, failure_bytes),
        Garbage("unfinished", signature, folder, owned_bytes - failure_bytes, foreign_names),
    ]


def _has_checkpoints(folder: Path) -> bool:
    return any(ResultFolder(folder).checkpoints.glob("*"))


def _list_failure_files(folder: Path) -> list[Path]:
    files = ResultFolder(folder)
    return [path for path in (files.failure, files.log) if path.exists()]


def _find_abandoned_folders(store: Store, stage_folder_names: Set[str]) -> Iterator[Path]:
    """Yield transient folders that are a day old or more, and the folders of runs that nobody will go on with.

    A run without its file was begun or ended by a command that was killed meanwhile.
    """
    for name in sorted(stage_folder_names):
        for path in owned_files.list_transient_folders(store.root / name):
            age_seconds = time.time() - path.stat().st_mtime
            if age_seconds > ABANDONED_AFTER_SECONDS:
                yield path
    yield from find_dead_runs(store)
    for path in disk.list_folder(store.root / "runs"):
        is_unfinished = is_run_folder(path) and not path.is_symlink() and not os.path.lexists(path / RUN_FILE)
        if is_unfinished and time.time() - path.stat().st_mtime > ABANDONED_AFTER_SECONDS:
            yield path


def _measure_bytes(paths: Iterable[Path]) -> int:
    """Return the size of files and of all files in folders; a file that is gone or can't be read counts 0."""
    total_bytes = 0
    for path in paths:
        files_inside = [Path(parent) / name for parent, _, names in os.walk(path) for name in names]
        for file in files_inside or [path]:
            with suppress(OSError):
                if not file.is_dir():
                    total_bytes += file.lstat().st_size  # of a link itself, not of the file that it leads to
    return total_bytes
