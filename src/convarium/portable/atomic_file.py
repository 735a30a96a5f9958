"""Writing a file that replaces another whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOENT
from pathlib import Path


@contextmanager
def write_atomically(target: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `target`; the file written there replaces the target on leaving.

    Where the body raises, the target stays as it was and the temporary file is removed.

    Raises:
        OSError: the target's folder doesn't exist or can't be written to.
    """
    # A mistyped folder is refused here, before the caller exports or draws what it is to hold.
    if not target.parent.is_dir():
        raise FileNotFoundError(ENOENT, os.strerror(ENOENT), str(target))
    partial = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield partial
        partial.replace(target)
    except OSError as error:
        # The message names the file that the user asked for, not the temporary one.
        reported_path = str(target) if error.filename == str(partial) else error.filename
        raise OSError(error.errno, error.strerror, reported_path) from None
    finally:
        partial.unlink(missing_ok=True)
