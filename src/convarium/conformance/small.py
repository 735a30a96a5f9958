"""The small form of every architecture that a file names: ten classes, the smallest usual images that it takes."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from convarium.architectures import library
from convarium.config.places import folders

SIDES = (28, 32, 64, 75, 96, 128, 160, 192, 224, 256)
FIELDS = ("source", "name", "stem", "kwargs")


@cache
def files() -> dict[str, Path]:
    """Return the file of every architecture that has one, by what is typed: "cross_layer/resnet20"."""
    found: dict[str, Path] = {}
    for folder in folders("conf"):
        root = folder / "architecture"
        for path in sorted(root.glob("*/*.yaml")):
            found.setdefault(path.relative_to(root).with_suffix("").as_posix(), path)
    return found


def given(option: str) -> dict[str, Any]:
    """Return what its file says of an architecture; channels, classes and size of images are a dataset's."""
    said = yaml.safe_load(files()[option].read_text(encoding="utf-8"))
    kwargs = {key: value for key, value in said["kwargs"].items() if not key.startswith("_")}
    return {key: said[key] for key in FIELDS} | {"kwargs": kwargs}


def small_form(option: str, classes: int = 10, sides: Sequence[int] = SIDES) -> dict[str, Any]:
    """Describe an architecture for colour images of the first of `sides` that it takes.

    Raises:
        UserError: it takes none of them; why not the largest, in one line.
    """
    described = given(option) | {"in_chans": 3, "num_classes": classes}
    side = next((side for side in sides if library.takes(described, side)), sides[-1])
    library.trial({**described, "img_size": side})
    return {**described, "img_size": side}
