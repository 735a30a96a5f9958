"""Writes that a kill at any moment leaves either done or not begun."""

import errno
import gc
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from convarium.errors import UserError

# what is refused for one folder is refused for all
DISK_WIDE_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
JsonShape = Mapping[str, type | tuple[type, ...]]


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` in one step: readers see the old file or the new one."""
    draft = _write_draft(path, value)
    try:
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def publish_json(path: Path, value: Any) -> bool:
    """Create `path` with `value`, unless it exists: of many writers the first wins. Return whether this one did."""
    draft = _write_draft(path, value)
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


def read_json_object(path: Path, shape: JsonShape) -> dict[str, Any] | None:
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
def pause_gc() -> Iterator[None]:
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
def translate_write_errors(root: Path) -> Iterator[None]:
    """Say a disk's refusal (full, read-only, no permission, not a folder) in the user's one line."""
    try:
        yield
    except OSError as error:
        place = f" ({error.filename})" if error.filename and str(error.filename) != str(root) else ""
        raise UserError(f"can't write to the store {root}: {error.strerror or error}{place}") from error


def format_error(error: UserError | OSError) -> str:
    """Return what is wrong in one line: of a disk's refusal, of which file or folder and why."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they are missing.

    Raises:
        NotADirectoryError: in the place of one of them is a file, or a link that leads nowhere; it tells which.
        OSError: the disk refuses.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        in_the_way = [one for one in (path, *path.parents) if os.path.lexists(one) and not os.path.isdir(one)]  # noqa: PTH112, raises nothing
        if not in_the_way:
            raise
        why = "A link that leads nowhere" if in_the_way[0].is_symlink() else os.strerror(errno.ENOTDIR)
        raise NotADirectoryError(errno.ENOTDIR, why, str(in_the_way[0])) from None


def list_folder(folder: Path) -> list[Path]:
    """Return what is in a folder, in order; nothing of one that is not there or can't be read."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def open_shared_file(path: Path) -> int:
    """Return the descriptor of a file that all users share to lock it; it is made where it is missing.

    Raises:
        PermissionError: somebody made one that others may not read.
    """
    if not path.exists():
        _create_shared_file(path)
    try:
        return os.open(path, os.O_RDWR)  # some disks lock only what may be written
    except PermissionError:
        pass
    try:
        return os.open(path, os.O_RDONLY)
    except PermissionError:
        why = "It is for all users, but not readable for all: its owner can mend that with chmod a+rw"
        raise PermissionError(errno.EACCES, why, str(path)) from None


def _create_shared_file(path: Path) -> None:
    """Create an empty file whose mode no umask decides, in one step; of many creators the first wins."""
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    descriptor = os.open(draft, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.fchmod(descriptor, 0o666)
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.close(descriptor)
        draft.unlink()


def check_store_root(text: str) -> Path:
    """Return the place of a store that somebody named.

    A store makes folders of its own and files beside it: neither the folder somebody works in nor one above it becomes
    one, though it may be one already.

    Raises:
        UserError: the name is empty, or such a folder's.
    """
    if not text.strip():
        raise UserError("runtime.store is empty, expected a folder such as outputs/store")
    place = os.path.abspath(text)  # noqa: PTH100, keeps links, and is asked for each point
    works_below = Path.cwd().is_relative_to(place)
    if place == os.sep or (works_below and not Path(place, "store.json").is_file()):
        raise UserError(
            f"runtime.store={text} is the folder you work in, or one above it; name one such as outputs/store"
        )
    return Path(text)


def cache_folder_of(root: Path) -> Path:
    """Return the folder beside the store at `root` for what can be made again at any time."""
    whole = root.resolve()
    return whole.with_name(f"{whole.name}.cache")


def _write_draft(path: Path, value: Any) -> Path:
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
