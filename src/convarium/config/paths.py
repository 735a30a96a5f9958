"""Paths as users type them."""

from os.path import expanduser
from pathlib import Path


def expand_home(text: str) -> str:
    """Return a path with `~` and `~user` expanded; `~x` stays, as the name of a folder, where there is no user x."""
    return expanduser(text)  # noqa: PTH111, Path.expanduser raises where there is no such user


def parse_path(text: str | Path) -> Path:
    """Return the path that a text names, as `expand_home` has it."""
    return Path(expand_home(str(text)))
