"""The files `lease.<n>` of a folder: their names, their content, and how one comes to be.

A lease file appears complete: its content is written to a draft, which is then linked to a name that must not exist
yet.
"""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from convarium.host.process import Process

LEASE_FILE_BYTES = 1024  # room for the JSON text with a long host name
LEASE_PREFIX = "lease."


def find_lease_number(folder: Path) -> int | None:
    """Return the number of the lease that owns a folder, None if there is none."""
    return max(list_lease_numbers(folder), default=None)


def remove_leases(folder: Path) -> None:
    """Remove the lease files of a stored result; those that can't be removed stay."""
    for number in list_lease_numbers(folder):
        with suppress(OSError):
            build_lease_path(folder, number).unlink(missing_ok=True)


def is_leased(folder: Path) -> bool:
    """Whether a folder holds a lease file that names an owner; a file that is merely called so does not count."""
    for number in list_lease_numbers(folder):
        with suppress(OSError):
            content = parse_content(build_lease_path(folder, number).read_bytes())
            if parse_owner(content) is not None:
                return True
    return False


def build_lease_path(folder: Path, number: int) -> Path:
    """Return the path of a folder's lease `number`."""
    return folder / f"{LEASE_PREFIX}{number}"


def list_lease_numbers(folder: Path) -> list[int]:
    """Return the numbers of the leases in a folder, in no order."""
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    suffixes = [name.removeprefix(LEASE_PREFIX) for name in names if name.startswith(LEASE_PREFIX)]
    return [int(suffix) for suffix in suffixes if suffix.isdecimal()]


def read_lease_bytes(path: Path) -> bytes:
    """Return what a lease holds; where it may not be read, its time of change, which beats as its content does."""
    try:
        return path.read_bytes()
    except (PermissionError, IsADirectoryError):
        return str(path.stat().st_mtime_ns).encode()


def create_lease_file(folder: Path, number: int, content: dict[str, Any]) -> bool:
    """Create `lease.<number>` complete with its content, whose token is its own; return whether this call did."""
    draft = folder / f".{LEASE_PREFIX}{content['token']}"
    data = format_content(content)
    path = build_lease_path(folder, number)
    try:
        draft.write_bytes(data)
        os.link(draft, path)
    except FileNotFoundError:  # another taker has already finished and removed all
        return False
    except FileExistsError:
        # NFS repeats a request whose reply was lost, and then finds the link that the first one made.
        with suppress(OSError):
            return path.read_bytes() == data
        return False
    finally:
        draft.unlink(missing_ok=True)
    return True


def format_content(content: dict[str, Any]) -> bytes:
    """Return JSON padded to a constant length, so that a reader meets the old or the new content, never a mixture."""
    return json.dumps(content).encode().ljust(LEASE_FILE_BYTES)


def parse_content(data: bytes) -> dict[str, Any]:
    """Return the object in a lease file, an empty one where the file is damaged."""
    with suppress(ValueError):
        content = json.loads(data)
        if isinstance(content, dict):
            return content
    return {}


def parse_owner(content: dict[str, Any]) -> Process | None:
    """Return the process that a lease names, None where it is damaged."""
    try:
        return Process(**{field: content[field] for field in Process.__dataclass_fields__})
    except KeyError:
        return None
