"""The small form of every architecture that a file names: ten classes, the smallest usual images that it takes."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from convarium.architectures.dry_run import accepts_image_size, dry_run_architecture
from convarium.config.option_file import read_option
from convarium.config.search_path import list_search_folders

IMAGE_SIDES_PX = (28, 32, 64, 75, 96, 128, 160, 192, 224, 256)
ARCHITECTURE_KEYS = ("source", "name", "stem", "kwargs")


@cache
def find_architecture_files() -> dict[str, Path]:
    """Return the file of every architecture that has one, by what is typed: "cross_layer/resnet20"."""
    found: dict[str, Path] = {}
    for folder in list_search_folders("conf"):
        root = folder / "architecture"
        for path in sorted(root.glob("*/*.yaml")):
            found.setdefault(path.relative_to(root).with_suffix("").as_posix(), path)
    return found


def read_architecture_file(option: str) -> dict[str, Any]:
    """Return what its file says of an architecture; channels, classes and size of images are a dataset's."""
    architecture = read_option(find_architecture_files()[option])
    kwargs = {key: value for key, value in architecture["kwargs"].items() if not key.startswith("_")}
    return {key: architecture[key] for key in ARCHITECTURE_KEYS} | {"kwargs": kwargs}


def describe_small_form(option: str, classes: int = 10, sides: Sequence[int] = IMAGE_SIDES_PX) -> dict[str, Any]:
    """Describe an architecture for colour images of the first of `sides` that it takes.

    Raises:
        UserError: it takes none of them; why not the largest, in one line.
    """
    described = read_architecture_file(option) | {"in_chans": 3, "num_classes": classes}
    side = next((side for side in sides if accepts_image_size(described, side)), sides[-1])
    dry_run_architecture({**described, "img_size": side})
    return {**described, "img_size": side}
