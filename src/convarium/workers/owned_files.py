"""Which files and folders a store and its stages wrote themselves: nothing else is ever removed.

A folder's name alone proves nothing: `train-202611281530` may be somebody's experiment. A result folder is ours if a
record in it holds the folder's signature or it holds a valid lease; in such a folder the files with our names are ours.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from convarium.errors import UserError
from convarium.store import disk
from convarium.store.result_folder import FAILURE_FILE, FILE_NAMES, RECORD_FILE
from convarium.workers.lease_file import is_leased

LEASE_PATTERN = re.compile(r"lease\.\d+")
WORK_FOLDER_PATTERN = re.compile(r"checkpoints|work\.\d+")
# A kill leaves drafts behind: 32 hexadecimal digits are a uuid4.
DRAFT_PATTERN = re.compile(r"\.(lease|done\.json|failed\.json)\.[0-9a-f]{32}|\.curves\.jsonl")
TRANSIENT_FOLDER_PATTERN = re.compile(r"\.(gone|merge)\.[0-9a-f]{32}")
# The names that datasets/pixel_cache.py gives: DATASET-PART-KEY, its lock and its drafts.
PIXEL_CACHE_PATTERN = re.compile(r"\.?.+-[a-z]+-[0-9a-f]{16}(\.lock|\.\w{8,})?")
PIXEL_CACHE_FILE_NAMES = ("pixels", "labels.npy", "about.json")
# Those of datasets/folder_images/manifest.py: a digest of the image folder's path; drafts end with a pid.
MANIFEST_PATTERN = re.compile(r"[0-9a-f]{16}\.json|\.[0-9a-f]{16}\.json\.\d+")


def is_made_by_store(folder: Path, signature: str) -> bool:
    """Whether a store made this result folder, finished or not; false for a link, which leads to another place."""
    if folder.is_symlink() or folder.parent.is_symlink():
        return False
    if _has_signature(folder / RECORD_FILE, signature) or _has_signature(folder / FAILURE_FILE, signature):
        return True
    return is_leased(folder)


def list_owned(folder: Path) -> list[Path]:
    """Return our own files and folders in a result folder, its record first."""
    paths = [path for path in folder.iterdir() if _is_owned(path)]
    # Who removes them in this order and is killed leaves no record of a result that has lost its files.
    return sorted(paths, key=lambda path: path.name != RECORD_FILE)


def list_foreign(folder: Path) -> list[Path]:
    """Return the files and folders in a result folder that are not ours."""
    return sorted(path for path in folder.iterdir() if not _is_owned(path))


def list_leftovers(folder: Path) -> list[Path]:
    """Return what only the making of a result needed: a failure's record, work folders, checkpoints and drafts."""
    return [
        path
        for path in list_owned(folder)
        if path.name == FAILURE_FILE or _matches_any(path, WORK_FOLDER_PATTERN, DRAFT_PATTERN)
    ]


def remove_leftovers(folder: Path) -> None:
    """Remove from a finished result's folder what was needed to make it; what the disk refuses to remove stays."""
    for path in list_leftovers(folder):
        with suppress(OSError):
            remove_path(path)


def list_work_folders(folder: Path) -> list[Path]:
    """Return the folders in which attempts at a result wrote their files; checkpoints are not among them."""
    return [path for path in list_owned(folder) if path.name.startswith("work.")]


def parse_work_number(work_folder: Path) -> int:
    """Return the number of the lease under which an attempt wrote its files."""
    return int(work_folder.name.removeprefix("work."))


def list_transient_folders(stage_folder: Path) -> list[Path]:
    """Return the folders in which results are moved into a stage's folder, or out of it to be removed."""
    return [
        path
        for path in _list_unlinked_folder(stage_folder)
        if _matches_any(path, TRANSIENT_FOLDER_PATTERN) and path.is_dir() and not path.is_symlink()
    ]


def list_cache_files(cache: Path) -> Iterator[Path]:
    """Yield our own files in the cache folder next to the store: manifests of image folders, and decoded images."""
    for path in _list_unlinked_folder(cache / "manifests"):
        if MANIFEST_PATTERN.fullmatch(path.name) and path.is_file():
            yield path
    for path in _list_unlinked_folder(cache / "pixels"):
        if not PIXEL_CACHE_PATTERN.fullmatch(path.name):
            continue
        files = [path / name for name in PIXEL_CACHE_FILE_NAMES] if path.is_dir() else [path]
        yield from (file for file in files if file.is_file())


def remove_path(path: Path) -> None:
    """Remove a file, a link (not what it leads to) or a whole folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _list_unlinked_folder(folder: Path) -> list[Path]:
    """Return the paths in a folder, none where it or its parent is a link: what a link leads to is not ours."""
    if folder.is_symlink() or folder.parent.is_symlink():
        return []
    return disk.list_folder(folder)


def _is_owned(path: Path) -> bool:
    # Names of our files hold for files only: a folder that is called log.txt is somebody else's.
    if path.is_dir() and not path.is_symlink():
        return _matches_any(path, WORK_FOLDER_PATTERN)
    return path.name in FILE_NAMES or _matches_any(path, LEASE_PATTERN, DRAFT_PATTERN)


def _matches_any(path: Path, *patterns: re.Pattern[str]) -> bool:
    return any(pattern.fullmatch(path.name) for pattern in patterns)


def _has_signature(record_file: Path, signature: str) -> bool:
    try:
        record = disk.read_json(record_file)
    except (UserError, OSError):
        return False
    return isinstance(record, dict) and record.get("signature") == signature
