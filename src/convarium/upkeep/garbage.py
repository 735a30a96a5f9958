"""What lies in a store and nothing asks for: results of other versions of the stages, failures, work left behind."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from convarium.planning.plan import Plan
from convarium.stages.declaration import StageDeclaration
from convarium.store import disk
from convarium.store.result_folder import ResultFolder
from convarium.store.store import Store, sanitize_name
from convarium.workers import owned_files
from convarium.workers.lease import LeaseManager
from convarium.workers.run_file import find_dead_runs, find_living_runs, is_run_folder, read_run_plan

GARBAGE_KINDS = {
    "failed": "records of failures, with their logs",
    "left": "what killed commands left aside",
    "outdated": "results of another version of a stage, and what was made from them: named by signature only",
    "unreferenced": "results that nothing asks for any more, of all that is stored or of what --keep names",
    "unfinished": "checkpoints of stages that were stopped or failed: the same command would go on from them",
    "cache": "decoded images and the like beside the store: made again when they are needed",
}
ALWAYS_REMOVED_KINDS = ("failed", "left")
ABANDONED_AFTER_SECONDS = 86400


@dataclass(frozen=True)
class Garbage:
    """What may go of a folder: of a stage's, or with no signature.

    Attributes:
        stays: names in a stage's folder that no stage wrote; they are never removed, nor is the folder then.
    """

    kind: str
    signature: str
    folder: Path
    bytes: int
    stays: tuple[str, ...] = ()


def find_garbage(store: Store, declared: Mapping[str, StageDeclaration], wanted: Set[str]) -> Iterator[Garbage]:
    """Yield what is garbage: what a store wrote, in this place; a stage that has a living owner never.

    Args:
        declared: the stages as they are now; results of a stage that is not among them are kept.
        wanted: signatures that somebody wants; adopted weights stay anyhow, since nothing here makes them again.
    """
    leases, stale = LeaseManager(""), OutdatedResults(store, declared)
    stages = {sanitize_name(stage) for stage in declared}
    for signature, folder in store.list_folders():
        with suppress(OSError):  # what can't be looked into may be anything
            kind = _classify_folder(store, signature, folder, stale, wanted, leases, stages)
            if kind is None or not owned_files.is_made_by_store(folder, signature):
                continue
            stays, size = (
                tuple(path.name for path in owned_files.list_foreign(folder)),
                _measure_bytes(owned_files.list_owned(folder)),
            )
            if kind == "failed" and _has_checkpoints(folder):
                records = _measure_bytes(_list_failure_files(folder))
                yield Garbage("failed", signature, folder, records)
                yield Garbage("unfinished", signature, folder, size - records, stays)
            else:
                yield Garbage(kind, signature, folder, size, stays)
    yield from (Garbage("left", "", path, _measure_bytes([path])) for path in _find_abandoned_folders(store, stages))
    cache = disk.cache_folder_of(store.root)
    if not any(find_living_runs(store)) and (files := list(owned_files.list_cache_files(cache))):
        yield Garbage("cache", "", cache, _measure_bytes(files))


def find_planned_signatures(store: Store, only_living: bool = False) -> set[str]:
    """Return what all plans in the store ask for, or those of runs that may be going on.

    Raises:
        UserError: a plan is damaged; what it asks for is not known.
        OSError: a plan can't be read.
    """
    if only_living:
        plans = [read_run_plan(folder, run) for folder, run in find_living_runs(store)]
    else:
        plans = [Plan.read(file) for file in sorted((store.root / "plans").glob("*.json"))]
    return {signature for plan in plans for signature in plan.nodes}


def remove_garbage(garbage: Iterable[Garbage]) -> dict[Garbage, OSError]:
    """Remove what is ours of folders; what somebody has taken up or finished meanwhile stays.

    Of a failure with checkpoints only its records go. Return what the disk did not let go, and why.
    """
    leases, refused = LeaseManager(f"gc-{uuid4().hex}"), dict[Garbage, OSError]()
    for one in garbage:
        try:
            _remove_one(one, leases)
        except OSError as error:
            refused[one] = error
    return refused


def remove_result_folder(folder: Path) -> None:
    """Remove what is ours of a stage's folder: in one step, unless somebody put something of his there, which stays."""
    if not owned_files.list_foreign(folder):
        folder = folder.rename(folder.with_name(f".gone.{uuid4().hex}"))
    for path in owned_files.list_owned(folder):
        owned_files.remove_path(path)
    _remove_empty_folders(folder)


def _remove_one(one: Garbage, leases: LeaseManager) -> None:
    if one.kind == "cache":
        for file in list(owned_files.list_cache_files(one.folder)):
            owned_files.remove_path(file)
            _remove_empty_folders(file.parent, file.parent.parent, one.folder)
    elif is_run_folder(one.folder):
        owned_files.remove_path(one.folder)
    elif one.kind not in ("failed", "unfinished"):
        remove_result_folder(one.folder)
    elif lease := leases.take(one.folder):
        is_done = ResultFolder(one.folder).record.exists()
        if not is_done and one.kind == "failed" and _has_checkpoints(one.folder):
            for path in _list_failure_files(one.folder):
                path.unlink()
        elif not is_done:
            remove_result_folder(one.folder)
        lease.release()


def _remove_empty_folders(*folders: Path) -> None:
    """Remove folders that are empty."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


class OutdatedResults:
    """Tells results that no command asks for: of another version of a stage, or made from such ones."""

    def __init__(self, store: Store, declared: Mapping[str, StageDeclaration]) -> None:
        self._store, self._declared = store, declared
        self._outdated: dict[str, bool] = {}

    def is_outdated(self, signature: str) -> bool:
        """Whether the result of a signature is one; what is not there is none."""
        if signature not in self._outdated:
            done = self._store.find_record(signature)
            self._outdated[signature] = done is not None and (
                self._is_old_version(done["stage"], done["version"]) or any(map(self.is_outdated, done["parents"]))
            )
        return self._outdated[signature]

    def _is_old_version(self, stage: str, version: int) -> bool:
        return stage in self._declared and self._declared[stage].version != version

    def is_repeatable(self, stage: str) -> bool:
        """Whether results of a stage can be made again from their configs."""
        return stage not in self._declared or self._declared[stage].is_repeatable


def _classify_folder(
    store: Store,
    signature: str,
    folder: Path,
    outdated: OutdatedResults,
    wanted: Set[str],
    leases: LeaseManager,
    stages: Set[str],
) -> str | None:
    if signature in store.unreadable:
        return None
    if (done := store.find_record(signature)) is not None:
        if folder.parent.name != sanitize_name(done["stage"]):
            return None  # somebody moved it where no stage puts its results
        if outdated.is_outdated(signature):
            return "outdated"
        return "unreferenced" if signature not in wanted and outdated.is_repeatable(done["stage"]) else None
    claim = leases.read(folder)
    if folder.parent.name not in stages or (claim is not None and claim.state == "alive"):
        return None
    return "failed" if ResultFolder(folder).failure.exists() else "unfinished"


def _has_checkpoints(folder: Path) -> bool:
    return any(ResultFolder(folder).checkpoints.glob("*"))


def _list_failure_files(folder: Path) -> list[Path]:
    return [path for path in (ResultFolder(folder).failure, ResultFolder(folder).log) if path.exists()]


def _find_abandoned_folders(store: Store, stages: Set[str]) -> Iterator[Path]:
    """Yield folders laid aside a day ago or more, and those of runs whose controller is gone."""
    for stage in sorted(stages):
        for path in owned_files.list_transient_folders(store.root / stage):
            if time.time() - path.stat().st_mtime > ABANDONED_AFTER_SECONDS:
                yield path
    yield from find_dead_runs(store)


def _measure_bytes(paths: Iterable[Path]) -> int:
    """Return the bytes of files, those in folders included; what is gone or can't be read counts nothing."""
    total = 0
    for path in paths:
        inside = [Path(place) / name for place, _, names in os.walk(path) for name in names]
        for file in inside or [path]:
            with suppress(OSError):
                total += file.lstat().st_size if not file.is_dir() else 0
    return total
