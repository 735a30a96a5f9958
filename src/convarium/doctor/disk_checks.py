"""Checks of the disk that a store lies on."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from uuid import uuid4

from convarium.doctor.finding import Finding, make_check
from convarium.doctor.rivals import NAME_COUNT, check_lock, count_undecided
from convarium.errors import UserError
from convarium.store import disk
from convarium.store.store import MTIME_RESOLUTION_SECONDS, PROBE_BYTES

LEAST_FREE_BYTES = 1 << 30
LEAST_FREE_FILES = 10_000
SAME_CLOCK_SECONDS, MOST_CLOCK_SECONDS = 2.0, 60.0
# A time that no coarser disk keeps: an odd second, and a fraction with nine digits.
TRIAL_TIME_NS = 1_600_000_059_123_456_789
RESOLUTIONS_NS = {"2 s": 2 * 10**9, "1 s": 10**9, "a millisecond": 10**6, "a microsecond": 10**3}
GIB = 1 << 30


@contextmanager
def make_trial_folder(root: Path) -> Iterator[Path]:
    """Make a folder of its own in a store; remove it at the end, with the store's folder where that was not there.

    Raises:
        OSError: the disk refuses.
    """
    missing_folders = [folder for folder in (root, *root.parents) if not folder.exists()]
    folder = root / f".doctor.{uuid4().hex}"
    try:
        disk.make_folder(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for missing_folder in missing_folders:
            with suppress(OSError):  # another command may have begun to use it
                missing_folder.rmdir()


def check_disk(folder: Path) -> list[Finding]:
    """Make all checks of a disk.

    Args:
        folder: one on it, for the checks' own files.
    """
    checks = {
        "store": _check_writing,
        "exclusive create": _check_exclusive_create,
        "hard links": _check_hard_links,
        "locks of the store": _check_locks,
        "clock of the disk": check_clock,
        "times of files": _check_resolution,
        "free room": _check_room,
    }
    return [make_check(name, partial(check, folder)) for name, check in checks.items()]


def check_clock(folder: Path) -> str:
    """Compare the disk's clock with this host's."""
    file = folder / f"clock.{uuid4().hex}"
    before = time.time()
    file.write_bytes(b"now")
    after = time.time()
    ahead_seconds = file.stat().st_mtime - (before + after) / 2
    if abs(ahead_seconds) <= SAME_CLOCK_SECONDS:
        return f"it agrees with this host's within {SAME_CLOCK_SECONDS:.0f} s"
    text = f"it is {abs(ahead_seconds):,.0f} s {'ahead of' if ahead_seconds > 0 else 'behind'} this host's"
    if abs(ahead_seconds) <= MOST_CLOCK_SECONDS:
        return text
    raise UserError(f"{text}: no result depends on it, but status and gc tell wrong ages; set both clocks by NTP")


def _check_writing(folder: Path) -> str:
    file = folder / "record"
    file.write_bytes(bytes(PROBE_BYTES))
    disk.sync_file(file)
    return f"{folder.parent} can be written to"


def _check_exclusive_create(folder: Path) -> str:
    return _decide_race("create", folder, "creates")


def _check_hard_links(folder: Path) -> str:
    disk.require_hard_links(folder)
    return _decide_race("link", folder, "links to")


def _decide_race(action: str, folder: Path, verb: str) -> str:
    undecided_count = count_undecided(action, folder)
    if undecided_count:
        raise UserError(
            f"of {NAME_COUNT} names that two processes made at once {undecided_count} were not exactly one's: two"
            " workers would make the same; set another runtime.store"
        )
    return f"of two processes one {verb} a name, {NAME_COUNT} times"


def _check_locks(folder: Path) -> str:
    file = folder / "lock"
    file.touch()
    try:
        check_lock(file)
    except (UserError, OSError) as error:
        raise UserError(
            f"{disk.format_error(error)}: searches and decoded images need locks; mount it with them (Lustre: flock)"
        ) from None
    return "of two processes one holds a lock"


def _check_resolution(folder: Path) -> str:
    file = folder / "times"
    file.touch()
    os.utime(file, ns=(TRIAL_TIME_NS, TRIAL_TIME_NS))
    kept_ns = file.stat().st_mtime_ns
    difference_seconds = abs(kept_ns - TRIAL_TIME_NS) / 1e9
    if difference_seconds >= MTIME_RESOLUTION_SECONDS:
        raise UserError(
            f"a file's time is kept {difference_seconds:,.0f} s wrong: new results would be overlooked; set another"
            " runtime.store"
        )
    resolution = next(
        (name for name, step_ns in RESOLUTIONS_NS.items() if kept_ns % step_ns == 0), "less than a microsecond"
    )
    return f"a file's time is kept to {resolution}"


def _check_room(folder: Path) -> str:
    free_bytes = shutil.disk_usage(folder).free
    free_text = f"{free_bytes / GIB:,.1f} GiB free"
    if free_bytes < LEAST_FREE_BYTES:
        raise UserError(
            f"{free_text}: convarium gc removes what no command asks for any more, or set another runtime.store"
        )
    files = os.statvfs(folder)
    if files.f_files > 0 and files.f_favail < LEAST_FREE_FILES:
        raise UserError(f"{free_text}, but room for {files.f_favail:,} more files only; set another runtime.store")
    return free_text
