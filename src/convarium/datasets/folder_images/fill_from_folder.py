"""What a config leaves to the folder: its classes, how many images, and their fingerprint."""

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
    found = list_folder_images(Path(root), dataset["on_error"], cache / "manifests", dataset["class_names"])
    told = {
        "classes": len(found.classes),
        "class_names": list(found.classes),
        "images": {part: len(found.parts[part]) for part in ("train", "validation", "test")},
        "fingerprint": found.fingerprint,
    }
    for key, value in told.items():
        if dataset[key] not in (None, value):
            raise UserError(
                f"dataset.{key}={format_value(dataset[key])}: the images in {root} have {format_value(value)}"
            )
    given = dataset.pop("value_range", None)
    return {**dataset, **told, **_check_value_range(given, found.value_range, root)}


def _check_value_range(given: Any, found: tuple[float, float] | None, root: str) -> dict[str, list[float]]:
    if given is None:
        return {"value_range": list(found)} if found else {}
    numbers = [float(one) for one in given if type(one) in (int, float) and isfinite(one)]
    if len(numbers) != len(given) or len(numbers) != 2 or numbers[0] >= numbers[1]:
        raise UserError(
            f"dataset.value_range={format_value(given)}: expected two numbers, the values of black and white"
        )
    if found is None:
        raise UserError(
            f"dataset.value_range={format_value(given)}: the images in {root} have 8 bits, nothing is scaled"
        )
    return {"value_range": numbers}


def _read_class_names(given: Any) -> list[str] | None:
    """Return the names of the classes: as they are, or the lines of the file that they are in."""
    if not isinstance(given, str):
        return None if given is None else [str(name) for name in given]
    try:
        names = [line.strip() for line in parse_path(given).read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "is not text"
        raise UserError(f"dataset.class_names={given}: {why}; expected a file with a class on each line") from None
    if "" in names or len(set(names)) < len(names):
        wrong = "has an empty line, or a name twice"
        raise UserError(f"dataset.class_names={given}: {wrong}; expected a class on each line")
    return names
