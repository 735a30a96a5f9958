"""Names of timm's and torchvision's networks, read from their source: to import them takes seconds."""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

LIBRARIES = ("torchvision", "timm")
# Both libraries register a network by a decorator of its builder.
REGISTERED_BUILDER = re.compile(r"^@register_model\b.*\n(?:@.*\n)*def (\w+)\(", re.MULTILINE)


@cache
def read_library_names(library: str) -> tuple[str, ...]:
    """Return the names of a library's classifiers; none where it is not installed."""
    spec = find_spec(library)
    names: list[str] = []
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for file in sorted((Path(folder) / "models").glob("*.py")):
            names += REGISTERED_BUILDER.findall(file.read_text(encoding="utf-8"))
    return tuple(names)
