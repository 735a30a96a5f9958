"""A stage's own log, `log.txt` in its folder: what all attempts printed, a dated line where each begins and ends.

It is not part of the result. Of a log that grows over MAX_LOG_BYTES the beginning and the end are kept.
"""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from convarium.host.process import current_process
from convarium.store.result_folder import ResultFolder

MAX_LOG_BYTES = 1 << 20
KEPT_HEAD_BYTES, KEPT_TAIL_BYTES = 1 << 17, 1 << 19


def log_attempt_start(path: Path, attempt: int) -> None:
    """Say that an attempt begins, and where."""
    process = current_process()
    append_log_line(path, f"attempt {attempt} begins on {process.host}, process {process.pid}")


def append_log_line(path: Path, text: str, extra_text: str = "") -> None:
    """Append a dated line, and after it, as they are, further ones (a traceback); a disk that is full loses them."""
    with suppress(OSError):
        with path.open("a", encoding="utf-8") as file:
            file.write(f"# {datetime.now(UTC).isoformat(timespec='seconds')} {text}\n{extra_text}")
        limit_log_size(path)


def limit_log_size(path: Path) -> None:
    """Take out the middle of a log that has grown too long; who writes to its end may go on.

    Raises:
        OSError: it is gone, or the disk refuses.
    """
    if path.stat().st_size <= MAX_LOG_BYTES:
        return
    with path.open("r+b") as file:
        text = file.read()
        head = text[:KEPT_HEAD_BYTES].rpartition(b"\n")[0]
        tail = text[-KEPT_TAIL_BYTES:].partition(b"\n")[2]
        left_out = len(text) - len(head) - len(tail)
        file.seek(0)
        file.write(head + f"\n# {left_out:,} bytes are left out here\n".encode() + tail)
        file.truncate()


def read_log(folder: Path) -> str | None:
    """Return the log of a stage's folder, None if there is none."""
    try:
        return ResultFolder(folder).log.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
