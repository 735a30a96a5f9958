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
from convarium.store import disk
from convarium.store.result_folder import (
    CHECKPOINT_FOLDER,
    CURVES_FILE,
    FAILURE_FILE,
    LOG_FILE,
    RECORD_FILE,
    ResultFolder,
)
from convarium.store.signature import compute_signature
from convarium.store.store import Store
from convarium.workers.lease import Lease, LeaseManager
from convarium.workers.run_stage import remove_leftovers
from convarium.workers.stored_inputs import format_record_inputs

MERGED_FOLDER_NAMES = ("plans", "checks")
APPENDED_FILE_NAMES = (
    CURVES_FILE,
    LOG_FILE,
)  # by a stage that is begun again after a kill: they must not be another's
SKIPPED_NAME_PREFIXES = ("lease.", "work.", CHECKPOINT_FOLDER, FAILURE_FILE, ".")


@dataclass
class MergeReport:
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

    def record_error(self, error: UserError | OSError) -> None:
        """Note why something was left out."""
        (self.damaged if isinstance(error, UserError) else self.refused).append(disk.format_error(error))


def open_other_store(root: Path, target: Store) -> Store:
    """Return the store to be merged.

    Raises:
        UserError: there is no store, it has another format, or it is this one.
    """
    found = Store(root).require()
    if root.resolve() == target.root.resolve():
        raise UserError(f"{root} is the store itself; name another one, or write into another by runtime.store=…")
    return found


def merge_stores(source: Store, target: Store, dry_run: bool = False) -> MergeReport:
    """Bring what is missing, by hard links where the file system has them; a kill leaves nothing half done.

    Each result is laid aside and moved into place whole; where a folder is there (what failed or was stopped), the
    files are moved in under a lease, and `done.json` is linked last. What can't be read, or has
    a folder here that can't be written to, is left out, and the others come.

    Raises:
        UserError: a result of the other store is not what its signature says, or not what is stored here at the same
            signature (nothing is merged then); the disk is full or refuses to be written to.
    """
    found, missing = MergeReport(), list(_find_missing_results(source, target))
    for error in (*source.unreadable.values(), *target.unreadable.values()):
        found.record_error(error)
    found.present = sum(1 for _ in source.read_records()) - len(missing)
    if not dry_run:
        target.prepare()
    leases = LeaseManager(f"merge-{uuid4().hex}")
    with disk.translate_write_errors(target.root):
        for done, folder in missing:
            place = target.find_folder(done["signature"]) or target.root / folder.parent.name / folder.name
            with _record_folder_errors(found):
                _merge_result(done["signature"], _list_result_files(folder), place, None if dry_run else leases, found)
        for stage in {folder.parent.name for _, folder in missing if not dry_run}:
            disk.sync_folder(target.root / stage)
        found.plans, found.checks = (
            _merge_json_files(source.root / name, target.root / name, dry_run, found) for name in MERGED_FOLDER_NAMES
        )
    return found


@contextmanager
def _record_folder_errors(report: MergeReport) -> Iterator[None]:
    """Leave out what the disk refuses for one folder only."""
    try:
        yield
    except OSError as error:
        if error.errno in disk.DISK_WIDE_ERRNOS:
            raise
        report.record_error(error)


def _merge_result(
    signature: str, files: list[Path], target_folder: Path, leases: LeaseManager | None, report: MergeReport
) -> None:
    """Bring one result; without leases only count it."""
    size = sum(path.stat().st_size for path in files)
    copied = _copy_result(files, target_folder, leases) if leases else 0
    if copied is None:
        report.busy.append(signature)
    else:
        report.results += 1
        report.bytes += size
        report.copied_bytes += copied


def _find_missing_results(source: Store, target: Store) -> Iterator[tuple[dict[str, Any], Path]]:
    for done in source.read_records():
        folder, here = source.find_folder(done["signature"]), target.find_record(done["signature"])
        assert folder is not None
        made_from = [done[key] for key in ("stage", "version", "stage_config", "parents", "fingerprint")]
        if compute_signature(*made_from) != done["signature"]:
            raise UserError(f"{folder}: done.json tells another config than its signature; nothing is merged")
        if here is not None and format_record_inputs(here) != format_record_inputs(done):
            there = target.find_folder(done["signature"])
            raise UserError(f"{folder}: done.json tells another config than {there}; nothing is merged")
        if here is None and done["signature"] not in target.unreadable:
            yield done, folder


def _list_result_files(folder: Path) -> list[Path]:
    return [
        path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(SKIPPED_NAME_PREFIXES)
    ]


def _copy_result(files: list[Path], target_folder: Path, leases: LeaseManager) -> int | None:
    """Return the bytes that were copied, None if somebody else works there."""
    disk.make_folder(target_folder.parent)
    if not os.path.lexists(target_folder):
        return _copy_as_new_folder(files, target_folder)
    disk.make_folder(target_folder)  # refuses what is none
    lease = leases.take(target_folder)
    if lease is None:
        return None
    try:
        return 0 if ResultFolder(target_folder).record.exists() else _copy_into_folder(files, target_folder, lease)
    finally:
        lease.remove() if ResultFolder(target_folder).record.exists() else lease.release()


def _copy_as_new_folder(files: list[Path], target_folder: Path) -> int | None:
    """Lay a folder that is not there yet aside, and move it into place whole; None if somebody was quicker."""
    draft = target_folder.with_name(f".merge.{uuid4().hex}")
    draft.mkdir()
    try:
        copied = sum(_link_or_copy(path, draft / path.name) for path in files)
        try:
            draft.rename(target_folder)
        except OSError:
            return None
        return copied
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _copy_into_folder(files: list[Path], target_folder: Path, lease: Lease) -> int:
    work = target_folder / f"work.{lease.number}"
    work.mkdir()
    copied = sum(_link_or_copy(path, work / path.name, path.name not in APPENDED_FILE_NAMES) for path in files)
    for path in sorted(work.iterdir()):
        if path.name != RECORD_FILE:
            path.replace(target_folder / path.name)
    disk.sync_folder(target_folder)
    lease.check()
    with suppress(FileExistsError):
        os.link(work / RECORD_FILE, target_folder / RECORD_FILE)
    disk.sync_folder(target_folder)
    remove_leftovers(target_folder)
    return copied


def _link_or_copy(path: Path, target_path: Path, link: bool = True) -> int:
    """Link a file, or copy it where the file system can't link; return the bytes copied."""
    if link:
        with suppress(OSError):
            os.link(path, target_path)
            return 0
    shutil.copyfile(path, target_path)
    disk.sync_file(target_path)
    return target_path.stat().st_size


def _merge_json_files(source: Path, target: Path, dry_run: bool, report: MergeReport) -> int:
    """Bring the files that are not there by name; return how many."""
    brought = 0
    for path in disk.list_folder(source):
        if path.suffix == ".json" and path.is_file() and not os.path.lexists(target / path.name):
            with _record_folder_errors(report):
                if not dry_run:
                    _link_or_copy_atomically(path, target)
                brought += 1
    return brought


def _link_or_copy_atomically(path: Path, target: Path) -> None:
    disk.make_folder(target)
    draft = target / f".{path.name}.{uuid4().hex}"
    try:
        _link_or_copy(path, draft)
        draft.replace(target / path.name)
    finally:
        draft.unlink(missing_ok=True)
