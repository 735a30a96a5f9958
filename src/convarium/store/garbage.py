"""What lies in a store and nothing asks for: results of other versions of the stages, failures, work left behind."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from convarium.store import contents, disk, log
from convarium.store.lease import Leases
from convarium.store.plan import Plan
from convarium.store.run_file import dead, is_run, living, planned
from convarium.store.store import Store, word

KINDS = {
    "failed": "records of failures, with their logs",
    "left": "what killed commands left aside",
    "outdated": "results of another version of a stage, and what was made from them: named by signature only",
    "unreferenced": "results that nothing asks for any more, of all that is stored or of what --keep names",
    "unfinished": "checkpoints of stages that were stopped or failed: the same command would go on from them",
    "cache": "decoded pictures and the like beside the store: made again when they are needed",
}
ALWAYS = ("failed", "left")
DAY_SECONDS = 86400


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


def find(store: Store, versions: Mapping[str, int], asked: Set[str]) -> Iterator[Garbage]:
    """Yield what is garbage: what a store wrote, in this place; a stage that has a living owner never.

    Args:
        versions: of the stages, as they are now; results of a stage that is not named are kept.
        asked: signatures that somebody wants; adopted weights stay anyhow, since nothing here makes them again.
    """
    leases, stale = Leases(""), Stale(store, versions)
    stages = {word(stage) for stage in (*versions, "adopt")}
    for signature, folder in store.folders():
        with suppress(OSError):  # what can't be looked into may be anything
            kind = _kind(store, signature, folder, stale, asked, leases, stages)
            if kind is None or not contents.is_ours(folder, signature):
                continue
            stays, size = tuple(path.name for path in contents.foreign(folder)), _size(contents.own(folder))
            if kind == "failed" and _holds_checkpoints(folder):
                records = _size(_failure_records(folder))
                yield Garbage("failed", signature, folder, records)
                yield Garbage("unfinished", signature, folder, size - records, stays)
            else:
                yield Garbage(kind, signature, folder, size, stays)
    yield from (Garbage("left", "", path, _size([path])) for path in _left(store, stages))
    cache = disk.beside(store.root)
    if not any(living(store)) and (files := list(contents.cached(cache))):
        yield Garbage("cache", "", cache, _size(files))


def asked_by_plans(store: Store, only_living: bool = False) -> set[str]:
    """Return what all plans in the store ask for, or those of runs that may be going on.

    Raises:
        UserError: a plan is damaged; what it asks for is not known.
        OSError: a plan can't be read.
    """
    if only_living:
        plans = [planned(folder, run) for folder, run in living(store)]
    else:
        plans = [Plan.read(file) for file in sorted((store.root / "plans").glob("*.json"))]
    return {signature for plan in plans for signature in plan.nodes}


def remove(garbage: Iterable[Garbage]) -> dict[Garbage, OSError]:
    """Remove what is ours of folders; what somebody has taken up or finished meanwhile stays.

    Of a failure with checkpoints only its records go. Return what the disk did not let go, and why.
    """
    leases, refused = Leases(f"gc-{uuid4().hex}"), dict[Garbage, OSError]()
    for one in garbage:
        try:
            _remove(one, leases)
        except OSError as error:
            refused[one] = error
    return refused


def drop(folder: Path) -> None:
    """Remove what is ours of a stage's folder: in one step, unless somebody put something of his there, which stays."""
    if not contents.foreign(folder):
        folder = folder.rename(folder.with_name(f".gone.{uuid4().hex}"))
    for path in contents.own(folder):
        contents.discard(path)
    _prune(folder)


def _remove(one: Garbage, leases: Leases) -> None:
    if one.kind == "cache":
        for file in list(contents.cached(one.folder)):
            contents.discard(file)
            _prune(file.parent, file.parent.parent, one.folder)
    elif is_run(one.folder):
        contents.discard(one.folder)
    elif one.kind not in ("failed", "unfinished"):
        drop(one.folder)
    elif lease := leases.take(one.folder):
        is_done = (one.folder / "done.json").exists()
        if not is_done and one.kind == "failed" and _holds_checkpoints(one.folder):
            for path in _failure_records(one.folder):
                path.unlink()
        elif not is_done:
            drop(one.folder)
        lease.release()


def _prune(*folders: Path) -> None:
    """Remove folders that are empty."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


class Stale:
    """Tells results that no command asks for: of another version of a stage, or made from such ones."""

    def __init__(self, store: Store, versions: Mapping[str, int]) -> None:
        self._store, self._versions = store, versions
        self._known: dict[str, bool] = {}

    def holds(self, signature: str) -> bool:
        """Whether the result of a signature is one; what is not there is none."""
        if signature not in self._known:
            done = self._store.done(signature)
            self._known[signature] = done is not None and (
                self._versions.get(done["stage"], done["version"]) != done["version"]
                or any(map(self.holds, done["parents"]))
            )
        return self._known[signature]


def _kind(
    store: Store, signature: str, folder: Path, stale: Stale, asked: Set[str], leases: Leases, stages: Set[str]
) -> str | None:
    if signature in store.unreadable:
        return None
    if (done := store.done(signature)) is not None:
        if folder.parent.name != word(done["stage"]):
            return None  # somebody moved it where no stage puts its results
        if stale.holds(signature):
            return "outdated"
        return "unreferenced" if signature not in asked and done["stage"] != "adopt" else None
    claim = leases.look(folder)
    if folder.parent.name not in stages or (claim is not None and claim.state == "alive"):
        return None
    return "failed" if (folder / "failed.json").exists() else "unfinished"


def _holds_checkpoints(folder: Path) -> bool:
    return any((folder / "checkpoints").glob("*"))


def _failure_records(folder: Path) -> list[Path]:
    return [path for name in ("failed.json", log.NAME) if (path := folder / name).exists()]


def _left(store: Store, stages: Set[str]) -> Iterator[Path]:
    """Yield folders laid aside a day ago or more, and those of runs whose controller is gone."""
    for stage in sorted(stages):
        for path in contents.aside(store.root / stage):
            if time.time() - path.stat().st_mtime > DAY_SECONDS:
                yield path
    yield from dead(store)


def _size(paths: Iterable[Path]) -> int:
    """Return the bytes of files, those in folders included; what is gone or can't be read counts nothing."""
    total = 0
    for path in paths:
        inside = [Path(place) / name for place, _, names in os.walk(path) for name in names]
        for file in inside or [path]:
            with suppress(OSError):
                total += file.lstat().st_size if not file.is_dir() else 0
    return total
