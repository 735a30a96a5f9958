"""Reading and writing the files of a store; a kill at any moment leaves a write either complete or not begun."""

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

# Errors that every other folder would meet too: no space, a read-only disk, no more open files, no memory.
DISK_WIDE_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
NO_LINKS_ERRNOS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
JsonShape = Mapping[str, type | tuple[type, ...]]


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` in one step: readers see the old file or the new one."""
    write_bytes(path, _format_json(value))


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` in one step: readers see the old file or the new one."""
    draft = _write_draft(path, data)
    try:
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def publish_json(path: Path, value: Any) -> bool:
    """Create `path` with `value` unless it exists: of many writers the first wins. Return whether this one did."""
    draft = _write_draft(path, _format_json(value))
    try:
        os.link(draft, path)  # unlike a rename, it never replaces a file
    except FileExistsError:
        return False
    except FileNotFoundError:
        # The winner has removed this draft with the other leftovers of the folder.
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
        UserError: the file is not JSON, or holds null, which could not be told from a missing file.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123, half the time of Path.open
            value = json.loads(file.read())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, RecursionError) as error:  # the latter: lists in lists, a thousand deep
        raise UserError(f"{path} is damaged: {error}") from None
    if value is None:
        raise UserError(f"{path} is damaged: it holds null")
    return value


def read_json_object(path: Path, shape: JsonShape) -> dict[str, Any] | None:
    """Return the object in a JSON file, None if there is no such file.

    Args:
        shape: keys that the object must have, with the types that their values may have.

    Raises:
        UserError: the file is not JSON, holds another value, or a key of `shape` is missing or of another type.
    """
    value = read_json(path)
    if value is None:
        return None
    if not isinstance(value, dict):
        raise UserError(f"{path} is damaged: it holds no JSON object")
    for key, types in shape.items():
        if key not in value:
            raise UserError(f"{path} is damaged: it has no '{key}'")
        if not isinstance(value[key], types):
            raise UserError(f"{path} is damaged: its '{key}' is of another type")
    return value


@contextmanager
def pause_gc() -> Iterator[None]:
    """Switch off Python's search for reference cycles while much is made that has none, such as JSON that is read.

    With thousands of records, points or rows the search takes a third of the time.
    """
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
    """Wait until a folder's list of names is on the disk, where the file system can sync a folder."""
    with suppress(OSError):
        sync_file(path)


def require_hard_links(folder: Path) -> None:
    """Check that a folder's disk knows hard links, by which one of many writers wins.

    Raises:
        UserError: it knows none (FAT, exFAT, some network disks).
        OSError: the disk can't be written to.
    """
    file = folder / f".link.{uuid4().hex}"
    link = file.with_name(f"{file.name}.linked")
    file.touch()
    try:
        os.link(file, link)
    except OSError as error:
        if error.errno not in NO_LINKS_ERRNOS:
            raise
        raise UserError(
            f"the store {folder} lies on a disk without hard links ({error.strerror}), which leases are made of;"
            " set another runtime.store"
        ) from None
    finally:
        link.unlink(missing_ok=True)
        file.unlink(missing_ok=True)


@contextmanager
def translate_write_errors(root: Path) -> Iterator[None]:
    """Raise a disk's refusal (full, read-only, no permission, not a folder) as a UserError of one line."""
    try:
        yield
    except OSError as error:
        message = f"can't write to the store {root}: {error.strerror or error}"
        if error.filename and str(error.filename) != str(root):
            message += f" ({error.filename})"
        raise UserError(message) from error


def format_error(error: UserError | OSError) -> str:
    """Return an error in one line; that of a disk's refusal names the file or folder and the reason."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def make_folder(path: Path) -> None:
    """Create a folder and its missing parents.

    Raises:
        NotADirectoryError: one of them is a file, or a link that leads nowhere; the error names that one.
        OSError: the disk refuses.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        # The error of mkdir names `path`, which need not be the one that is not a folder.
        for folder in (path, *path.parents):
            if os.path.lexists(folder) and not os.path.isdir(folder):  # noqa: PTH112, raises nothing
                reason = "A link that leads nowhere" if folder.is_symlink() else os.strerror(errno.ENOTDIR)
                raise NotADirectoryError(errno.ENOTDIR, reason, str(folder)) from None
        path.mkdir(parents=True, exist_ok=True)  # another process removed it a moment after it was found there


def list_folder(folder: Path) -> list[Path]:
    """Return the paths in a folder, sorted; none if the folder is missing or can't be read."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def open_shared_file(path: Path) -> int:
    """Open the file that all users of a host lock, and return its descriptor; create it where it is missing.

    Raises:
        PermissionError: its owner has made it unreadable for others.
    """
    if not path.exists():
        _create_shared_file(path)
    try:
        return os.open(path, os.O_RDWR)  # network file systems lock only files that are open for writing
    except PermissionError:
        pass
    try:
        return os.open(path, os.O_RDONLY)
    except PermissionError:
        reason = "It is for all users, but not readable for all: its owner can mend that with chmod a+rw"
        raise PermissionError(errno.EACCES, reason, str(path)) from None


def _create_shared_file(path: Path) -> None:
    """Create an empty file that all users may read and write; of many creators the first wins."""
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    descriptor = os.open(draft, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        # The umask narrows the mode of a created file, but not that of fchmod. The link comes after it, so that nobody
        # meets a file that he may not open yet.
        os.fchmod(descriptor, 0o666)
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.close(descriptor)
        draft.unlink()


def check_store_root(text: str) -> Path:
    """Return the root of the store that a user names.

    A store fills its folder with folders of its own and makes a cache folder next to it. So the current folder and
    those above it are refused, unless there is a store already.

    Raises:
        UserError: the text is empty, or names such a folder.
    """
    if not text.strip():
        raise UserError("runtime.store is empty, expected a folder such as outputs/store")
    absolute_path = os.path.abspath(text)  # noqa: PTH100, keeps links, and is asked for each point
    holds_current_folder = Path.cwd().is_relative_to(absolute_path)
    if absolute_path == os.sep or (holds_current_folder and not Path(absolute_path, "store.json").is_file()):
        raise UserError(
            f"runtime.store={text} is the folder you work in, or one above it; name one such as outputs/store"
        )
    return Path(text)


def cache_folder_of(root: Path) -> Path:
    """Return the folder next to the store at `root` for files that can be made again at any time."""
    resolved_root = root.resolve()
    return resolved_root.with_name(f"{resolved_root.name}.cache")


def _format_json(value: Any) -> bytes:
    return json.dumps(value, indent=1, allow_nan=False).encode()


def _write_draft(path: Path, data: bytes) -> Path:
    draft = path.parent / f".{path.name}.{uuid4().hex}"
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return draft
