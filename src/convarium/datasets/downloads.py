"""Files that torchvision can download, moved into place only whole."""

import socket
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from convarium.errors import UserError

CONNECT_TIMEOUT_SECONDS = 10.0


def download_files(
    home: Path, root: Path, files: Sequence[str], missing_message: str, download: Callable[[str], object]
) -> None:
    """Let `download(folder)` fill a folder that stands for `root`, then move `files` from there into `home`.

    Args:
        home: `root` or a folder below it.
        missing_message: what belongs into `home`, for the error.

    Raises:
        UserError: they can't be had.
    """
    ours = [folder for folder in (home, home.parent, root) if not folder.exists()]
    timeout = socket.getdefaulttimeout()
    try:
        socket.setdefaulttimeout(CONNECT_TIMEOUT_SECONDS)
        home.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".download-", dir=root) as folder, redirect_stdout(None):
            download(folder)
            for file in files:
                (Path(folder) / home.relative_to(root) / file).replace(home / file)
    except Exception as error:
        for made in ours:
            with suppress(OSError):
                made.rmdir()
        raise UserError(
            f"{missing_message} there or set dataset.root; downloading failed: {format_reason(error)}"
        ) from None
    finally:
        socket.setdefaulttimeout(timeout)


def format_reason(error: Exception) -> str:
    """Return an outside error as a short line."""
    return (" ".join(str(error).split()) or type(error).__name__)[:120]
