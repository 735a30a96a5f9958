"""A stage's own log, `log.txt` in its folder: the output of all attempts, with a dated line where each begins and ends.

The log is not part of the result. Of one that grows over MAX_LOG_BYTES only the beginning and the end are kept.
"""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from convarium.host.process import current_process
from convarium.store.result_folder import ResultFolder

MAX_LOG_BYTES = 1 << 20
KEPT_HEAD_BYTES = 1 << 17
KEPT_TAIL_BYTES = 1 << 19  # a traceback stands at the end


def log_attempt_start(path: Path, attempt: int) -> None:
    """Append a line that says which attempt begins, on which host and in which process."""
    process = current_process()
    append_log_line(path, f"attempt {attempt} begins on {process.host}, process {process.pid}")


def append_log_line(path: Path, text: str, extra_text: str = "") -> None:
    """Append a dated line, then `extra_text` (a traceback) unchanged; a full disk loses them and fails nothing."""
    timestamp = datetime.now(UTC).isoformat(timespec="seconds")
    with suppress(OSError):
        with path.open("a", encoding="utf-8") as file:
            file.write(f"# {timestamp} {text}\n{extra_text}")
        limit_log_size(path)


def limit_log_size(path: Path) -> None:
    """Cut the middle out of a log that is longer than MAX_LOG_BYTES.

    Raises:
        OSError: the log is gone, or the disk refuses.
    """
    if path.stat().st_size <= MAX_LOG_BYTES:
        return
    # In place: the stage's process appends to this very file (O_APPEND), and would go on with one that was replaced.
    with path.open("r+b") as file:
        text = file.read()
        head, _, _ = text[:KEPT_HEAD_BYTES].rpartition(b"\n")
        _, _, tail = text[-KEPT_TAIL_BYTES:].partition(b"\n")
        omitted_bytes = len(text) - len(head) - len(tail)
        notice = f"\n# {omitted_bytes:,} bytes are left out here\n".encode()
        file.seek(0)
        file.write(head + notice + tail)
        file.truncate()


def read_log(folder: Path) -> str | None:
    """Return the text of the log in a result folder, None if there is no log."""
    try:
        return ResultFolder(folder).log.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
