"""What of a folder the store and its stages wrote themselves: nothing else is ever removed.

A name alone proves nothing: `train-202611281530` is somebody's experiment. A stage's folder is ours where a record in
it tells the folder's signature, or a lease is one; of its files those are ours that have a name of ours.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from convarium.errors import UserError
from convarium.store import disk
from convarium.store.result_folder import FAILURE_FILE, FILE_NAMES, RECORD_FILE
from convarium.workers.lease import is_leased

LEASE_PATTERN = re.compile(r"lease\.\d+")
WORK_FOLDER_PATTERN = re.compile(r"checkpoints|work\.\d+")
DRAFT_PATTERN = re.compile(r"\.(lease|done\.json|failed\.json)\.[0-9a-f]{32}|\.curves\.jsonl")
TRANSIENT_FOLDER_PATTERN = re.compile(r"\.(gone|merge)\.[0-9a-f]{32}")
PIXEL_CACHE_PATTERN = re.compile(r"\.?.+-[a-z]+-[0-9a-f]{16}(\.lock|\.\w{8,})?")
MANIFEST_PATTERN = re.compile(r"[0-9a-f]{16}\.json|\.[0-9a-f]{16}\.json\.\d+")
PIXEL_CACHE_FILE_NAMES = ("pixels", "labels.npy", "about.json")


def is_made_by_store(folder: Path, signature: str) -> bool:
    """Whether a stage's folder, done or not, was made by a store, and in this place: links lead elsewhere."""
    if folder.is_symlink() or folder.parent.is_symlink():
        return False
    return any(_has_signature(folder / name, signature) for name in (RECORD_FILE, FAILURE_FILE)) or is_leased(folder)


def list_owned(folder: Path) -> list[Path]:
    """Return what is ours in a stage's folder, its record first."""
    return sorted((path for path in folder.iterdir() if _is_owned(path)), key=lambda path: path.name != RECORD_FILE)


def list_foreign(folder: Path) -> list[Path]:
    """Return what is not ours in a stage's folder."""
    return sorted(path for path in folder.iterdir() if not _is_owned(path))


def list_leftovers(folder: Path) -> list[Path]:
    """Return what is left in a stage's folder of making its result."""
    return [
        path
        for path in list_owned(folder)
        if path.name == FAILURE_FILE or _matches_any(path, WORK_FOLDER_PATTERN, DRAFT_PATTERN)
    ]


def list_work_folders(folder: Path) -> list[Path]:
    """Return the folders in which attempts at a stage's result wrote their files."""
    return [path for path in list_owned(folder) if path.name.startswith("work.")]


def list_transient_folders(stage_folder: Path) -> list[Path]:
    """Return the folders of results that are on their way into a stage's place, or out of it."""
    return [
        path
        for path in _list_without_links(stage_folder)
        if _matches_any(path, TRANSIENT_FOLDER_PATTERN) and path.is_dir() and not path.is_symlink()
    ]


def list_cache_files(cache: Path) -> Iterator[Path]:
    """Yield the files that are ours in the folder beside the store."""
    yield from (
        path
        for path in _list_without_links(cache / "manifests")
        if MANIFEST_PATTERN.fullmatch(path.name) and path.is_file()
    )
    for path in _list_without_links(cache / "pixels"):
        if PIXEL_CACHE_PATTERN.fullmatch(path.name):
            inside = [path / name for name in PIXEL_CACHE_FILE_NAMES] if path.is_dir() else [path]
            yield from (file for file in inside if file.is_file())


def remove_path(path: Path) -> None:
    """Remove a file, a link or a whole folder of ours."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _list_without_links(folder: Path) -> list[Path]:
    """Return what is in a folder, nothing where a link leads to it."""
    return [] if folder.is_symlink() or folder.parent.is_symlink() else disk.list_folder(folder)


def _is_owned(path: Path) -> bool:
    if path.is_dir() and not path.is_symlink():
        return _matches_any(path, WORK_FOLDER_PATTERN)
    return path.name in FILE_NAMES or _matches_any(path, LEASE_PATTERN, DRAFT_PATTERN)


def _matches_any(path: Path, *patterns: re.Pattern[str]) -> bool:
    return any(pattern.fullmatch(path.name) for pattern in patterns)


def _has_signature(path: Path, signature: str) -> bool:
    with suppress(UserError, OSError):
        record = disk.read_json(path)
        return isinstance(record, dict) and record.get("signature") == signature
    return False
