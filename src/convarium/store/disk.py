"""Writes that a kill at any moment leaves either done or not begun."""

import gc
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from convarium.errors import UserError

Shape = Mapping[str, type | tuple[type, ...]]


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` in one step: readers see the old file or the new one."""
    draft = _draft(path, value)
    try:
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def publish_json(path: Path, value: Any) -> bool:
    """Create `path` with `value`, unless it exists: of many writers the first wins. Return whether this one did."""
    draft = _draft(path, value)
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    except FileNotFoundError:  # the winner has cleared the folder, drafts and all
        if path.exists():
            return False
        raise
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


def read_json(path: Path) -> Any:
    """Return the content of a JSON file, None if there is no such file.

    Raises:
        UserError: the file is no JSON, or null.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123, half the time of Path.open
            found = json.loads(file.read())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}") from None
    if found is None:
        raise UserError(f"{path} is damaged: it holds null")
    return found


def read_object(path: Path, shape: Shape) -> dict[str, Any] | None:
    """Return the object in a JSON file, None if there is no such file.

    Raises:
        UserError: the file is no JSON, another value, or a key of `shape` is missing or of another type.
    """
    found = read_json(path)
    if found is None:
        return None
    if not isinstance(found, dict):
        raise UserError(f"{path} is damaged: it holds no JSON object")
    for key, kind in shape.items():
        if not isinstance(found.get(key, ...), kind):
            wrong = f"its '{key}' is of another type" if key in found else f"it has no '{key}'"
            raise UserError(f"{path} is damaged: {wrong}")
    return found


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep Python from looking for cycles, which JSON never holds: a third of the time for thousands of records."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def sync_file(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Wait until a folder's list of names is on the disk, where the file system can say so."""
    with suppress(OSError):
        sync_file(path)


@contextmanager
def mistakes(root: Path) -> Iterator[None]:
    """Say a disk's refusal (full, read-only, no permission, not a folder) in the user's one line."""
    try:
        yield
    except OSError as error:
        raise UserError(f"can't write to the store {root}: {error.strerror or error}") from error


def beside(root: Path) -> Path:
    """Return the folder beside the store at `root` for what can be made again at any time."""
    whole = root.resolve()
    return whole.with_name(f"{whole.name}.cache")


def _draft(path: Path, value: Any) -> Path:
    draft = path.parent / f".{path.name}.{uuid4().hex}"
    try:
        with draft.open("w", encoding="utf-8") as file:
            json.dump(value, file, indent=1, allow_nan=False)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return draft
