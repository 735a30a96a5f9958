"""The small form of every architecture that has a YAML: ten classes, the smallest usual images that it takes."""

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
    """Return the YAML of every architecture by the option that chooses it, such as "cross_layer/resnet20"."""
    files: dict[str, Path] = {}
    for folder in list_search_folders("conf"):
        group_folder = folder / "architecture"
        for path in sorted(group_folder.glob("*/*.yaml")):
            option = path.relative_to(group_folder).with_suffix("").as_posix()
            files.setdefault(option, path)
    return files


def read_architecture_file(option: str) -> dict[str, Any]:
    """Return an architecture's config from its YAML, without what a dataset decides: channels, classes, image size."""
    architecture = read_option(find_architecture_files()[option])
    kwargs = {key: value for key, value in architecture["kwargs"].items() if not key.startswith("_")}
    return {key: architecture[key] for key in ARCHITECTURE_KEYS} | {"kwargs": kwargs}


def describe_small_form(option: str, classes: int = 10, sides: Sequence[int] = IMAGE_SIDES_PX) -> dict[str, Any]:
    """Return an architecture's config for colour images of the first of `sides` that it takes.

    Raises:
        UserError: it takes none of them; the line says why it refuses the largest.
    """
    small_config = read_architecture_file(option) | {"in_chans": 3, "num_classes": classes}
    accepted_sides = (side for side in sides if accepts_image_size(small_config, side))
    small_config["img_size"] = next(accepted_sides, sides[-1])
    dry_run_architecture(small_config)
    return small_config
