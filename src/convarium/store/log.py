"""A stage's own log, `log.txt` in its folder: what all attempts printed, a dated line where each begins and ends.

It is not part of the result. Of a log that grows over LIMIT_BYTES the beginning and the end are kept.
"""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from convarium.store.process import current

NAME = "log.txt"
LIMIT_BYTES = 1 << 20
HEAD_BYTES, TAIL_BYTES = 1 << 17, 1 << 19


def begin(path: Path, attempt: int) -> None:
    """Say that an attempt begins, and where."""
    process = current()
    say(path, f"attempt {attempt} begins on {process.host}, process {process.pid}")


def say(path: Path, text: str, further: str = "") -> None:
    """Append a dated line, and after it, as they are, further ones (a traceback); a disk that is full loses them."""
    with suppress(OSError):
        with path.open("a", encoding="utf-8") as file:
            file.write(f"# {datetime.now(UTC).isoformat(timespec='seconds')} {text}\n{further}")
        bound(path)


def bound(path: Path) -> None:
    """Take out the middle of a log that has grown too long; who writes to its end may go on.

    Raises:
        OSError: it is gone, or the disk refuses.
    """
    if path.stat().st_size <= LIMIT_BYTES:
        return
    with path.open("r+b") as file:
        text = file.read()
        head = text[:HEAD_BYTES].rpartition(b"\n")[0]
        tail = text[-TAIL_BYTES:].partition(b"\n")[2]
        left_out = len(text) - len(head) - len(tail)
        file.seek(0)
        file.write(head + f"\n# {left_out:,} bytes are left out here\n".encode() + tail)
        file.truncate()


def read(folder: Path) -> str | None:
    """Return the log of a stage's folder, None if there is none."""
    try:
        return (folder / NAME).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
