"""Origin and licence of the code that builds a network, read from its file in conf/architecture."""

import re

from convarium.config.search_path import list_search_folders

SOURCE_PATTERN = re.compile(r"^source: (own|timm|torchvision)$", re.MULTILINE)
ARCHITECTURE_PATTERN = re.compile(r"architecture=([\w/]+)")
SOURCE_LICENCES = {"own": "Apache-2.0", "timm": "Apache-2.0", "torchvision": "BSD-3-Clause"}


def find_code_source(overrides: str) -> str:
    """Return whose code builds the network of a row's overrides: own, timm or torchvision; empty if not known."""
    option = ARCHITECTURE_PATTERN.search(overrides)
    if option is None:
        return ""
    for folder in list_search_folders("conf"):
        path = folder / "architecture" / f"{option[1]}.yaml"
        if path.is_file():
            source = SOURCE_PATTERN.search(path.read_text(encoding="utf-8"))
            return source[1] if source else ""
    return ""


def derive_library_overrides(library: str, name: str) -> str | None:
    """Return the overrides that build a network by its name in a library, None where the table names none.

    Args:
        library: the table's text: timm, torchvision, or both with a plus sign; the first one is taken.
        name: the table's text: the network's name in the library, and perhaps a remark after a space.
    """
    first_library = library.split("+")[0]
    network_name = name.split(" ")[0]
    if first_library not in SOURCE_LICENCES or not re.fullmatch(r"\w+", network_name):
        return None
    return f"architecture={first_library} architecture.name={network_name}"
