"""Files of JSON lines that only the owner of a search appends to, under a lock that ends with its holder.

A full disk or a kill may leave a last line without its end. It counts for nothing, and is cut off before an append.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from convarium.errors import UserError

OwnerCheck = Callable[[], None]
CHUNK_BYTES = 65536


class Line(NamedTuple):
    """The object of a line and the offset in bytes at which the line begins."""

    offset: int
    value: dict[str, Any]


def append_lines(path: Path, values: Sequence[dict[str, Any]], check_owner: OwnerCheck) -> None:
    """Append a line for each value and wait until they are on the disk.

    Args:
        check_owner: called once the lock is had; raises if this process does not own the search any more.
    """
    text = "".join(json.dumps(value, separators=(",", ":")) + "\n" for value in values)
    with lock_lines(path, check_owner) as descriptor:
        _write_all(descriptor, text.encode())
        os.fsync(descriptor)


@contextmanager
def lock_lines(path: Path, check_owner: OwnerCheck) -> Iterator[int]:
    """Hold the lock of a file, which is created where it is missing, and cut off its unfinished line.

    Yields:
        the descriptor of the file, to append to.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        check_owner()
        _cut_unfinished_line(descriptor)
        yield descriptor
    finally:
        os.close(descriptor)  # which releases the lock


def read_lines(path: Path) -> list[Line]:
    """Return the lines of a file, [] where there is none; a last line that is unfinished or damaged is left out.

    Raises:
        UserError: another line is no JSON object.
    """
    try:
        with path.open("rb") as file:
            raw_lines = list(file)
    except FileNotFoundError:
        return []
    lines: list[Line] = []
    offset = 0
    for number, raw_line in enumerate(raw_lines, start=1):
        value = _parse_object(raw_line)
        if value is not None:
            lines.append(Line(offset, value))
        elif number < len(raw_lines):
            raise UserError(f"{path} is damaged: its line {number} is no JSON object")
        offset += len(raw_line)
    return lines


def _parse_object(raw_line: bytes) -> dict[str, Any] | None:
    if not raw_line.endswith(b"\n"):
        return None
    try:
        value = json.loads(raw_line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _cut_unfinished_line(descriptor: int) -> None:
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        os.ftruncate(descriptor, _find_last_line_end(descriptor, size))


def _find_last_line_end(descriptor: int, size: int) -> int:
    """Return the offset behind the last line end of a file, 0 where it has none."""
    while size:
        start = max(0, size - CHUNK_BYTES)
        line_end = os.pread(descriptor, size - start, start).rfind(b"\n")
        if line_end >= 0:
            return start + line_end + 1
        size = start
    return 0
