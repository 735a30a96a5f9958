"""Where the code of a network comes from, and under which licence; told from its file in conf/architecture."""

import re
from pathlib import Path

from convarium.config.search_path import list_search_folders

SOURCE_PATTERN = re.compile(r"^source: (own|timm|torchvision)$", re.MULTILINE)
ARCHITECTURE_PATTERN = re.compile(r"architecture=([\w/]+)")
SOURCE_LICENCES = {"own": "Apache-2.0", "timm": "Apache-2.0", "torchvision": "BSD-3-Clause"}


def find_code_source(overrides: str) -> str:
    """Return what builds the network of a row's overrides: own, timm or torchvision; empty where they name none."""
    named = ARCHITECTURE_PATTERN.search(overrides)
    if named is None:
        return ""
    for folder in list_search_folders("conf"):
        if (path := folder / "architecture" / f"{named[1]}.yaml").is_file():
            return _read_source(path)
    return ""


def derive_library_overrides(library: str, name: str) -> str | None:
    """Return the overrides that build a network of a library by its name there, with no file of ours.

    Args:
        library: as the table has it: timm, torchvision, or both.
        name: its first word is the network's name; further words build nothing.
    """
    first, word = library.split("+")[0], name.split(" ")[0]
    if first not in SOURCE_LICENCES or not re.fullmatch(r"\w+", word):
        return None
    return f"architecture={first} architecture.name={word}"


def _read_source(path: Path) -> str:
    found = SOURCE_PATTERN.search(path.read_text(encoding="utf-8"))
    return found[1] if found else ""
