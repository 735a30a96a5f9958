"""What lies in a store and nothing asks for: results of other versions of the stages, failures, work left behind."""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from convarium.store import disk
from convarium.store.lease import Leases
from convarium.store.store import Store

KINDS = {
    "outdated": "results of another version of a stage: only a signature may still name them",
    "failed": "records of failures, with their logs",
    "unfinished": "checkpoints of stages that were stopped: the same command would go on from them",
}


@dataclass(frozen=True)
class Garbage:
    """A stage's folder that may go."""

    kind: str
    signature: str
    folder: Path
    bytes: int


def find(store: Store, versions: Mapping[str, int]) -> Iterator[Garbage]:
    """Yield what is garbage, a stage that has a living owner never.

    Args:
        versions: of the stages, as they are now; a stage that is not named is kept.
    """
    leases = Leases("")
    for signature, folder in store.folders():
        kind = _kind(folder, versions, leases)
        if kind is not None:
            yield Garbage(kind, signature, folder, _size(folder))


def remove(garbage: Iterable[Garbage]) -> None:
    """Remove folders, each in one step; one that somebody has taken up or finished meanwhile stays."""
    leases = Leases(f"gc-{uuid4().hex}")
    for one in garbage:
        if one.kind == "outdated":
            _drop(one.folder)
        elif lease := leases.take(one.folder):
            if not (one.folder / "done.json").exists():
                _drop(one.folder)
            lease.release()


def _drop(folder: Path) -> None:
    gone = folder.with_name(f".gone.{uuid4().hex}")
    folder.rename(gone)
    shutil.rmtree(gone)


def _kind(folder: Path, versions: Mapping[str, int], leases: Leases) -> str | None:
    done = disk.read_json(folder / "done.json")
    if done is not None:
        return "outdated" if versions.get(done["stage"], done["version"]) != done["version"] else None
    claim = leases.look(folder)
    if claim is not None and claim.state == "alive":
        return None
    return "failed" if (folder / "failed.json").exists() else "unfinished"


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
