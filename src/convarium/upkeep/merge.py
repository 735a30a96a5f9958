"""Merge another store into this one: finished results, plans, verdicts of checks and searches that this one lacks."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from convarium.errors import UserError
from convarium.planning.plan_file import PLAN_SUFFIX, POINTS_SUFFIX
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
from convarium.upkeep.merge_searches import copy_search, find_missing_searches
from convarium.workers.lease import Lease, LeaseManager
from convarium.workers.owned_files import remove_leftovers
from convarium.workers.stored_inputs import format_record_inputs

# A stage that resumes after a kill appends to these. Through a hard link it would append to the other store's file.
APPENDED_FILE_NAMES = (CURVES_FILE, LOG_FILE)
SKIPPED_NAME_PREFIXES = ("lease.", "work.", CHECKPOINT_FOLDER, FAILURE_FILE, ".")


@dataclass
class MergeReport:
    """What a merge brought from the source store into the target store, or would bring in a dry run.

    Attributes:
        results: how many finished results.
        bytes: the size of their files.
        copied_bytes: the size of those files that could not be hard-linked, so that they take disk space again.
        present: how many results the target had already.
        busy: signatures of results that somebody is making in the target at the moment; they were left alone.
        plans: how many files of plans.
        checks: how many verdicts of checks.
        searches: how many searches, each with what became of its trials.
        living_searches: signatures of searches that still go on in the source; they were left alone.
        damaged: why results in either store can't be read, a line each; they were left out.
        refused: what the disk refused to read from the source or to write into the target, a line each.
    """

    results: int = 0
    bytes: int = 0
    copied_bytes: int = 0
    present: int = 0
    busy: list[str] = field(default_factory=list)
    plans: int = 0
    checks: int = 0
    searches: int = 0
    living_searches: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def record_error(self, error: UserError | OSError) -> None:
        """Add the reason why something was left out."""
        lines = self.damaged if isinstance(error, UserError) else self.refused
        lines.append(disk.format_error(error))


def open_other_store(root: Path, target: Store) -> Store:
    """Return the store at `root`, which is to be merged into `target`.

    Raises:
        UserError: there is no store, it has another format, or it is the target.
    """
    source = Store(root).require()
    if root.resolve() == target.root.resolve():
        raise UserError(f"{root} is the store itself; name another one, or write into another by runtime.store=…")
    return source


def merge_stores(source: Store, target: Store, dry_run: bool = False) -> MergeReport:
    """Copy the results that the target lacks, as hard links where possible; a kill leaves none half copied.

    A result whose folder the target lacks is copied into a draft folder, which is renamed. Where the target has a
    folder (of a failed or stopped stage), the files are moved into it under a lease, and `done.json` is linked last.
    A result that can't be read, or whose folder in the target can't be written to, is left out of the merge.

    Raises:
        UserError: a result of the source does not match its signature, or differs from the target's at the same
            signature (nothing is merged then); the disk is full or refuses to be written to.
    """
    report = MergeReport()
    missing_results = list(_find_missing_results(source, target))
    for error in (*source.unreadable.values(), *target.unreadable.values()):
        report.record_error(error)
    report.present = sum(1 for _ in source.read_records()) - len(missing_results)
    if not dry_run:
        target.prepare()
    leases = None if dry_run else LeaseManager(f"merge-{uuid4().hex}")
    with disk.translate_write_errors(target.root):
        for signature, folder in missing_results:
            target_folder = target.find_folder(signature) or target.root / folder.parent.name / folder.name
            with _record_folder_errors(report):
                _merge_result(signature, folder, target_folder, leases, report)
        if not dry_run:
            for stage in {folder.parent.name for _, folder in missing_results}:
                disk.sync_folder(target.root / stage)
        # The points first: whoever finds a plan finds its points.
        plans, target_plans = source.root / "plans", target.root / "plans"
        _merge_files(plans, target_plans, POINTS_SUFFIX, dry_run, report)
        report.plans = _merge_files(plans, target_plans, PLAN_SUFFIX, dry_run, report)
        report.checks = _merge_files(source.root / "checks", target.root / "checks", ".json", dry_run, report)
        _merge_searches(source, target, dry_run, report)
    return report


def _merge_searches(source: Store, target: Store, dry_run: bool, report: MergeReport) -> None:
    missing_searches, report.living_searches = find_missing_searches(source, target)
    for folder in missing_searches:
        with _record_folder_errors(report):
            if not dry_run:
                copy_search(folder, target)
            report.searches += 1


@contextmanager
def _record_folder_errors(report: MergeReport) -> Iterator[None]:
    """Record an error that concerns one folder only, and let the merge go on."""
    try:
        yield
    except OSError as error:
        if error.errno in disk.DISK_WIDE_ERRNOS:
            raise
        report.record_error(error)


def _merge_result(
    signature: str, folder: Path, target_folder: Path, leases: LeaseManager | None, report: MergeReport
) -> None:
    """Copy one result and count it; without leases (a dry run) only count it."""
    files = [
        path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(SKIPPED_NAME_PREFIXES)
    ]
    total_bytes = sum(path.stat().st_size for path in files)
    copied_bytes = _copy_result(files, target_folder, leases) if leases else 0
    if copied_bytes is None:
        report.busy.append(signature)
        return
    report.results += 1
    report.bytes += total_bytes
    report.copied_bytes += copied_bytes


def _find_missing_results(source: Store, target: Store) -> Iterator[tuple[str, Path]]:
    """Yield the signature and folder of each finished result that the target lacks.

    Raises:
        UserError: a result does not match its signature, or differs from the target's at the same signature.
    """
    for record in source.read_records():
        signature = record["signature"]
        folder = source.find_folder(signature)
        assert folder is not None
        inputs = [record[key] for key in ("stage", "version", "stage_config", "parents", "fingerprint")]
        if compute_signature(*inputs) != signature:
            raise UserError(f"{folder}: done.json tells another config than its signature; nothing is merged")
        target_record = target.find_record(signature)
        if target_record is not None and format_record_inputs(target_record) != format_record_inputs(record):
            target_folder = target.find_folder(signature)
            raise UserError(f"{folder}: done.json tells another config than {target_folder}; nothing is merged")
        if target_record is None and signature not in target.unreadable:
            yield signature, folder


def _copy_result(files: list[Path], target_folder: Path, leases: LeaseManager) -> int | None:
    """Copy a result's files; return the bytes that were not hard-linked, None if somebody else makes the result."""
    disk.make_folder(target_folder.parent)
    if not os.path.lexists(target_folder):
        return _copy_as_new_folder(files, target_folder)
    disk.make_folder(target_folder)  # raises where a file, or a link that leads nowhere, has the folder's name
    lease = leases.take(target_folder)
    if lease is None:
        return None
    record_file = ResultFolder(target_folder).record
    try:
        # Another merge or a worker may have finished the result since the target was read.
        if record_file.exists():
            return 0
        return _copy_into_folder(files, target_folder, lease)
    finally:
        if record_file.exists():
            lease.remove()
        else:
            lease.release()


def _copy_as_new_folder(files: list[Path], target_folder: Path) -> int | None:
    """Copy the files into a draft folder and rename it; return the bytes copied, None if somebody was quicker."""
    draft = target_folder.with_name(f".merge.{uuid4().hex}")
    draft.mkdir()
    try:
        copied_bytes = sum(_link_or_copy(path, draft / path.name) for path in files)
        try:
            draft.rename(target_folder)
        except OSError:
            return None
        return copied_bytes
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _copy_into_folder(files: list[Path], target_folder: Path, lease: Lease) -> int:
    """Copy the files into a folder that this process holds the lease of, the record last; return the bytes copied."""
    work_folder = ResultFolder(target_folder).work_folder(lease.number)
    work_folder.mkdir()
    copied_bytes = 0
    for path in files:
        may_link = path.name not in APPENDED_FILE_NAMES
        copied_bytes += _link_or_copy(path, work_folder / path.name, may_link)
    for path in sorted(work_folder.iterdir()):
        if path.name != RECORD_FILE:
            path.replace(target_folder / path.name)
    # The record makes the result a finished one, so the names of its files must be on the disk before it is.
    disk.sync_folder(target_folder)
    lease.check()
    with suppress(FileExistsError):
        os.link(work_folder / RECORD_FILE, target_folder / RECORD_FILE)
    disk.sync_folder(target_folder)
    remove_leftovers(target_folder)
    return copied_bytes


def _link_or_copy(path: Path, target_path: Path, link: bool = True) -> int:
    """Hard-link a file, or copy it where that is not allowed or not possible; return the bytes copied."""
    if link:
        with suppress(OSError):
            os.link(path, target_path)
            return 0
    shutil.copyfile(path, target_path)
    disk.sync_file(target_path)
    return target_path.stat().st_size


def _merge_files(source: Path, target: Path, suffix: str, dry_run: bool, report: MergeReport) -> int:
    """Copy the files with a suffix that the target folder lacks by name; return how many."""
    file_count = 0
    for path in disk.list_folder(source):
        if not path.name.endswith(suffix) or not path.is_file() or os.path.lexists(target / path.name):
            continue
        with _record_folder_errors(report):
            if not dry_run:
                _link_or_copy_atomically(path, target)
            file_count += 1
    return file_count


def _link_or_copy_atomically(path: Path, target: Path) -> None:
    """Link or copy a file into a folder in one step: readers of the folder never see a part of it."""
    disk.make_folder(target)
    draft = target / f".{path.name}.{uuid4().hex}"
    try:
        _link_or_copy(path, draft)
        draft.replace(target / path.name)
    finally:
        draft.unlink(missing_ok=True)
