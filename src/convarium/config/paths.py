"""Paths as they are typed."""

from os.path import expanduser
from pathlib import Path


def expand_home(text: str) -> str:
    """Return a path with `~` and `~user` expanded; a folder may be called `~x` where there is no such user."""
    return expanduser(text)  # noqa: PTH111, Path.expanduser raises there


def parse_path(text: str | Path) -> Path:
    """Return the path that a text names, as `expand_home` has it."""
    return Path(expand_home(str(text)))
