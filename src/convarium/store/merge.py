"""Bring what another store holds and this one lacks: finished results, plans, verdicts of checks."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from convarium.errors import UserError
from convarium.store import disk, log
from convarium.store.execute import clear
from convarium.store.lease import Lease, Leases
from convarium.store.reuse import identity
from convarium.store.signature import signature
from convarium.store.store import Store

KEPT = ("plans", "checks")
APPENDED = ("curves.jsonl", log.NAME)  # by a stage that is begun again after a kill: they must not be another's
NOT_COPIED = ("lease.", "work.", "checkpoints", "failed.json", ".")


@dataclass
class Merged:
    """What a merge brought, or would bring.

    Attributes:
        results: how many finished results.
        bytes: of their files.
        copied_bytes: of those that could not be linked and take room of their own.
        present: results that were here already.
        busy: signatures that somebody is making here at the moment; they were left alone.
        plans, checks: files of these kinds.
        damaged: why results can't be read, there or here, a line each; they were left out.
        refused: what the disk would not let be read there or written here.
    """

    results: int = 0
    bytes: int = 0
    copied_bytes: int = 0
    present: int = 0
    busy: list[str] = field(default_factory=list)
    plans: int = 0
    checks: int = 0
    damaged: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def leave_out(self, error: UserError | OSError) -> None:
        """Note why something was left out."""
        (self.damaged if isinstance(error, UserError) else self.refused).append(disk.told(error))


def other(root: Path, here: Store) -> Store:
    """Return the store to be merged.

    Raises:
        UserError: there is no store, it has another format, or it is this one.
    """
    found = Store(root).require()
    if root.resolve() == here.root.resolve():
        raise UserError(f"{root} is the store itself; name another one, or write into another by runtime.store=…")
    return found


def merge(source: Store, target: Store, dry_run: bool = False) -> Merged:
    """Bring what is missing, by hard links where the file system has them; a kill leaves nothing half done.

    Each result is laid aside and moved into place whole; where a folder is there (what failed or was stopped), the
    files are moved in under a lease, and `done.json` is linked last. What can't be read, or has
    a folder here that can't be written to, is left out, and the others come.

    Raises:
        UserError: a result of the other store is not what its signature says, or not what is stored here at the same
            signature (nothing is merged then); the disk is full or refuses to be written to.
    """
    found, missing = Merged(), list(_missing(source, target))
    for error in (*source.unreadable.values(), *target.unreadable.values()):
        found.leave_out(error)
    found.present = sum(1 for _ in source.results()) - len(missing)
    if not dry_run:
        target.prepare()
    leases = Leases(f"merge-{uuid4().hex}")
    with disk.mistakes(target.root):
        for done, folder in missing:
            place = target.path(done["signature"]) or target.root / folder.parent.name / folder.name
            with _leaving_out(found):
                _merge_one(done["signature"], _files(folder), place, None if dry_run else leases, found)
        for stage in {folder.parent.name for _, folder in missing if not dry_run}:
            disk.sync_folder(target.root / stage)
        found.plans, found.checks = (_keep(source.root / name, target.root / name, dry_run, found) for name in KEPT)
    return found


@contextmanager
def _leaving_out(found: Merged) -> Iterator[None]:
    """Leave out what the disk refuses for one folder only."""
    try:
        yield
    except OSError as error:
        if error.errno in disk.OF_ALL_FOLDERS:
            raise
        found.leave_out(error)


def _merge_one(signature: str, files: list[Path], place: Path, leases: Leases | None, found: Merged) -> None:
    """Bring one result; without leases only count it."""
    size = sum(path.stat().st_size for path in files)
    copied = _bring(files, place, leases) if leases else 0
    if copied is None:
        found.busy.append(signature)
    else:
        found.results += 1
        found.bytes += size
        found.copied_bytes += copied


def _missing(source: Store, target: Store) -> Iterator[tuple[dict[str, Any], Path]]:
    for done in source.results():
        folder, here = source.path(done["signature"]), target.done(done["signature"])
        assert folder is not None
        made_from = [done[key] for key in ("stage", "version", "stage_config", "parents", "fingerprint")]
        if signature(*made_from) != done["signature"]:
            raise UserError(f"{folder}: done.json tells another config than its signature; nothing is merged")
        if here is not None and identity(here) != identity(done):
            there = target.path(done["signature"])
            raise UserError(f"{folder}: done.json tells another config than {there}; nothing is merged")
        if here is None and done["signature"] not in target.unreadable:
            yield done, folder


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(NOT_COPIED)]


def _bring(files: list[Path], place: Path, leases: Leases) -> int | None:
    """Return the bytes that were copied, None if somebody else works there."""
    disk.make_folder(place.parent)
    if not os.path.lexists(place):
        return _whole(files, place)
    disk.make_folder(place)  # refuses what is none
    lease = leases.take(place)
    if lease is None:
        return None
    try:
        return 0 if (place / "done.json").exists() else _fill(files, place, lease)
    finally:
        lease.remove() if (place / "done.json").exists() else lease.release()


def _whole(files: list[Path], place: Path) -> int | None:
    """Lay a folder that is not there yet aside, and move it into place whole; None if somebody was quicker."""
    draft = place.with_name(f".merge.{uuid4().hex}")
    draft.mkdir()
    try:
        copied = sum(_laid(path, draft / path.name) for path in files)
        try:
            draft.rename(place)
        except OSError:
            return None
        return copied
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _fill(files: list[Path], place: Path, lease: Lease) -> int:
    work = place / f"work.{lease.number}"
    work.mkdir()
    copied = sum(_laid(path, work / path.name, path.name not in APPENDED) for path in files)
    for path in sorted(work.iterdir()):
        if path.name != "done.json":
            path.replace(place / path.name)
    disk.sync_folder(place)
    lease.check()
    with suppress(FileExistsError):
        os.link(work / "done.json", place / "done.json")
    disk.sync_folder(place)
    clear(place)
    return copied


def _laid(path: Path, place: Path, link: bool = True) -> int:
    """Link a file, or copy it where the file system can't link; return the bytes copied."""
    if link:
        with suppress(OSError):
            os.link(path, place)
            return 0
    shutil.copyfile(path, place)
    disk.sync_file(place)
    return place.stat().st_size


def _keep(source: Path, target: Path, dry_run: bool, found: Merged) -> int:
    """Bring the files that are not there by name; return how many."""
    brought = 0
    for path in disk.entries(source):
        if path.suffix == ".json" and path.is_file() and not os.path.lexists(target / path.name):
            with _leaving_out(found):
                if not dry_run:
                    _lay_whole(path, target)
                brought += 1
    return brought


def _lay_whole(path: Path, target: Path) -> None:
    disk.make_folder(target)
    draft = target / f".{path.name}.{uuid4().hex}"
    try:
        _laid(path, draft)
        draft.replace(target / path.name)
    finally:
        draft.unlink(missing_ok=True)
