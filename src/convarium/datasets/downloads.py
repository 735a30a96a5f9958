"""Download of a dataset's files by torchvision; only complete files are moved into place."""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from contextvars import ContextVar
from pathlib import Path
from tempfile import TemporaryDirectory

from convarium.errors import UserError

CONNECT_TIMEOUT_SECONDS = 10.0  # torchvision sets none, and an unreachable host would be waited for without end
MAX_REASON_CHARS = 120
_may_download = ContextVar("may_download", default=True)


@contextmanager
def forbid_downloads() -> Iterator[None]:
    """Take files that are missing as a mistake, where a command only looks at what is there."""
    token = _may_download.set(False)
    try:
        yield
    finally:
        _may_download.reset(token)


def download_files(
    home: Path, root: Path, files: Sequence[str], missing_message: str, download: Callable[[str], object]
) -> None:
    """Let `download(folder)` fill a folder that stands for `root`, then move `files` from there into `home`.

    Args:
        home: `root` or a folder below it.
        missing_message: what is missing in `home`, as the beginning of the error's sentence.

    Raises:
        UserError: the download fails, or is forbidden; folders that were made for it are removed.
    """
    if not _may_download.get():
        raise UserError(f"{missing_message} there or set dataset.root")
    new_folders = [folder for folder in (home, home.parent, root) if not folder.exists()]  # the innermost first
    default_timeout = socket.getdefaulttimeout()
    try:
        socket.setdefaulttimeout(CONNECT_TIMEOUT_SECONDS)
        home.mkdir(parents=True, exist_ok=True)
        # In `root`, so that files are moved within one file system: each is there at once and whole.
        with TemporaryDirectory(prefix=".download-", dir=root) as folder, redirect_stdout(None):
            download(folder)
            downloaded_home = Path(folder) / home.relative_to(root)
            for file in files:
                (downloaded_home / file).replace(home / file)
    except Exception as error:
        for new_folder in new_folders:
            with suppress(OSError):
                new_folder.rmdir()
        raise UserError(
            f"{missing_message} there or set dataset.root; downloading failed: {format_reason(error)}"
        ) from None
    finally:
        socket.setdefaulttimeout(default_timeout)


def format_reason(error: Exception) -> str:
    """Return the message of a library's error as one short line, its type where it has none."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return reason[:MAX_REASON_CHARS]
