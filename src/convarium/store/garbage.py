"""What lies in a store and nothing asks for: results of other versions of the stages, failures, work left behind."""

import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from convarium.store import disk, log
from convarium.store.lease import Leases
from convarium.store.plan import Plan
from convarium.store.run_file import dead, living, plans
from convarium.store.store import Store

KINDS = {
    "failed": "records of failures, with their logs",
    "left": "what killed commands left aside",
    "outdated": "results of another version of a stage, and what was made from them: named by signature only",
    "unreferenced": "results that nothing asks for any more, of all that is stored or of what --keep names",
    "unfinished": "checkpoints of stages that were stopped or failed: the same command would go on from them",
    "cache": "decoded pictures and the like beside the store: made again when they are needed",
}
ALWAYS = ("failed", "left")
ASIDE = (".gone.*", ".merge.*")
DAY_SECONDS = 86400


@dataclass(frozen=True)
class Garbage:
    """A folder that may go; of a stage, or with no signature."""

    kind: str
    signature: str
    folder: Path
    bytes: int


def find(store: Store, versions: Mapping[str, int], asked: Set[str]) -> Iterator[Garbage]:
    """Yield what is garbage, a stage that has a living owner never.

    Args:
        versions: of the stages, as they are now; a stage that is not named is kept.
        asked: signatures that somebody wants; adopted weights stay anyhow, since nothing here makes them again.
    """
    leases, stale = Leases(""), Stale(store, versions)
    for signature, folder in store.folders():
        kind = _kind(store, signature, folder, stale, asked, leases)
        if kind == "failed" and _holds_checkpoints(folder):
            records = sum(path.stat().st_size for path in _failure_records(folder))
            yield Garbage("failed", signature, folder, records)
            yield Garbage("unfinished", signature, folder, _size(folder) - records)
        elif kind is not None:
            yield Garbage(kind, signature, folder, _size(folder))
    yield from (Garbage("left", "", path, _size(path)) for path in _left(store))
    cache = disk.beside(store.root)
    if cache.is_dir() and not living(store):
        yield Garbage("cache", "", cache, _size(cache))


def asked_by_plans(store: Store, only_living: bool = False) -> set[str]:
    """Return what all plans in the store ask for, or those of runs that may be going on.

    Raises:
        UserError: a plan can't be read; what it asks for is not known.
    """
    files = plans(store) if only_living else (store.root / "plans").glob("*.json")
    return {signature for file in sorted(files) for signature in Plan.read(file).nodes}


def remove(garbage: Iterable[Garbage]) -> None:
    """Remove folders, each in one step; one that somebody has taken up or finished meanwhile stays.

    Of a failure with checkpoints only its records go.
    """
    leases = Leases(f"gc-{uuid4().hex}")
    for one in garbage:
        if one.kind not in ("failed", "unfinished"):
            drop(one.folder)
        elif lease := leases.take(one.folder):
            is_done = (one.folder / "done.json").exists()
            if not is_done and one.kind == "failed" and _holds_checkpoints(one.folder):
                for path in _failure_records(one.folder):
                    path.unlink()
            elif not is_done:
                drop(one.folder)
            lease.release()


def drop(folder: Path) -> None:
    """Remove a folder in one step."""
    gone = folder.with_name(f".gone.{uuid4().hex}")
    folder.rename(gone)
    shutil.rmtree(gone)


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


def _kind(store: Store, signature: str, folder: Path, stale: Stale, asked: Set[str], leases: Leases) -> str | None:
    if (done := store.done(signature)) is not None:
        if stale.holds(signature):
            return "outdated"
        return "unreferenced" if signature not in asked and done["stage"] != "adopt" else None
    claim = leases.look(folder)
    if claim is not None and claim.state == "alive":
        return None
    return "failed" if (folder / "failed.json").exists() else "unfinished"


def _holds_checkpoints(folder: Path) -> bool:
    return any((folder / "checkpoints").glob("*"))


def _failure_records(folder: Path) -> list[Path]:
    return [path for name in ("failed.json", log.NAME) if (path := folder / name).exists()]


def _left(store: Store) -> Iterator[Path]:
    """Yield folders laid aside a day ago or more, and those of runs whose controller is gone."""
    for pattern in ASIDE:
        for path in store.root.glob(f"*/{pattern}"):
            if time.time() - path.stat().st_mtime > DAY_SECONDS:
                yield path
    yield from dead(store)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
