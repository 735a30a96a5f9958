"""Config keys that are read from a folder of images: its classes, number of images, fingerprint, value range."""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from convarium.config.messages import format_value
from convarium.config.paths import parse_path
from convarium.datasets.folder_images.folder_listing import list_folder_images
from convarium.errors import UserError

ALLOWED_CHANNELS = (1, 3)


def fill_from_folder(dataset: Mapping[str, Any], cache: Path) -> dict[str, Any]:
    """Return the dataset's config with classes, class_names, images and fingerprint filled in.

    Where images have more than 8 bits, `value_range` is the range of the training images' values, unless it is set;
    where none has, the config is without it.

    Args:
        dataset: its config, checked.
        cache: the folder beside the store; digests of the files are kept there.

    Raises:
        UserError: the folder is not a folder of images by class, or not the one that the config describes.
    """
    root = dataset["root"]
    if not root:
        raise UserError("dataset.root must be set: the folder of your images")
    if dataset["channels"] not in ALLOWED_CHANNELS:
        raise UserError(f"dataset.channels={dataset['channels']}: images are read as 1 (grey) or 3 (colour) channels")
    dataset = {**dataset, "class_names": _read_class_names(dataset["class_names"])}
    listing = list_folder_images(Path(root), dataset["on_error"], cache / "manifests", dataset["class_names"])
    folder_values = {
        "classes": len(listing.classes),
        "class_names": list(listing.classes),
        "images": {part: len(listing.parts[part]) for part in ("train", "validation", "test")},
        "fingerprint": listing.fingerprint,
    }
    for key, value in folder_values.items():
        if dataset[key] not in (None, value):
            raise UserError(
                f"dataset.{key}={format_value(dataset[key])}: the images in {root} have {format_value(value)}"
            )
    value_range = _check_value_range(dataset.pop("value_range", None), listing.value_range, root)
    if value_range is not None:
        folder_values["value_range"] = value_range
    return {**dataset, **folder_values}


def _check_value_range(declared: Any, measured: tuple[float, float] | None, root: str) -> list[float] | None:
    """Return the range by which images are scaled: the declared one, else that of the images; None for 8 bits."""
    if declared is None:
        return None if measured is None else list(measured)
    # By exact type: a bool is an int, too.
    numbers = [float(value) for value in declared if type(value) in (int, float) and isfinite(value)]
    if len(numbers) != len(declared) or len(numbers) != 2 or numbers[0] >= numbers[1]:
        raise UserError(
            f"dataset.value_range={format_value(declared)}: expected two numbers, the values of black and white"
        )
    if measured is None:
        raise UserError(
            f"dataset.value_range={format_value(declared)}: the images in {root} have 8 bits, nothing is scaled"
        )
    return numbers


def _read_class_names(declared: Any) -> list[str] | None:
    """Return the names of the classes: a list of them, or the lines of the file that the config names."""
    if declared is None:
        return None
    if not isinstance(declared, str):
        return [str(name) for name in declared]
    try:
        text = parse_path(declared).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not text"
        raise UserError(
            f"dataset.class_names={declared}: {reason}; expected a file with a class on each line"
        ) from None
    names = [line.strip() for line in text.splitlines()]
    if "" in names or len(set(names)) < len(names):
        raise UserError(
            f"dataset.class_names={declared}: has an empty line, or a name twice; expected a class on each line"
        )
    return names
