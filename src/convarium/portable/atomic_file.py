"""A file that is replaced whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOENT
from pathlib import Path


@contextmanager
def write_atomically(target: Path) -> Iterator[Path]:
    """Yield a path beside `target`; what lies there at the end replaces the target at once, unless something is raised.

    Raises:
        OSError: the target's folder is not there, or can't be written to.
    """
    if not target.parent.is_dir():
        raise FileNotFoundError(ENOENT, os.strerror(ENOENT), str(target))
    partial = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield partial
        partial.replace(target)
    except OSError as error:
        named = str(target) if error.filename == str(partial) else error.filename
        raise OSError(error.errno, error.strerror, named) from None
    finally:
        partial.unlink(missing_ok=True)
