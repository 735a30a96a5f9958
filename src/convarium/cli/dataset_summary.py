"""What a look at the folders of images found, said before anything is made of it."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convarium.config.point import Point

MAX_CLASS_NAMES = 5
SUMMARY_KEYS = ("name", "root", "classes", "class_names", "images", "value_range")

Json = dict[str, Any]


def summarise_datasets(points: Iterable["Point"]) -> list[Json]:
    """Return what was found in each distinct folder of the points.

    Its classes, the images in each part, and where their pixels have more than 8 bits the range by which they are
    scaled (`value_range`) and the files that are nearly constant after that (`nearly_constant`).
    """
    found: list[Json] = []
    for point in points:
        dataset = point.config["dataset"]
        if not dataset.get("class_names"):  # of a published set nothing is left to be found
            continue
        told = {key: dataset[key] for key in SUMMARY_KEYS if dataset.get(key) is not None}
        if "value_range" in told and dataset["name"] == "image_folder":
            told["nearly_constant"] = _find_nearly_constant(dataset, point.config["runtime"]["store"])
        if told not in found:
            found.append(told)
    return found


def _find_nearly_constant(dataset: Mapping[str, Any], store_folder: str) -> list[str]:
    from convarium.datasets.folder_images import list_folder_images
    from convarium.datasets.folder_images.high_bit_depth import is_nearly_constant
    from convarium.store.disk import cache_folder_of

    low, high = dataset["value_range"]
    keep = cache_folder_of(Path(store_folder)) / "manifests"
    parts = list_folder_images(Path(dataset["root"]), dataset["on_error"], keep, dataset["class_names"]).parts
    wide = [(one.path, one.extent) for part in parts.values() for one in part if one.extent is not None]
    return [str(path) for path, extent in wide if is_nearly_constant(extent, (low, high))]


def print_dataset_summaries(found: Iterable[Json]) -> None:
    """Print a line for each dataset on stderr, and one of its images that are nearly constant."""
    for one in found:
        print(_format_dataset(one), file=sys.stderr)
        if flat := one.get("nearly_constant"):
            advice = "dataset.value_range=[BLACK,WHITE] sets another range"
            told = f"{len(flat):,} images are nearly constant in this range, such as {flat[0]}"
            print(f"{_format_dataset_name(one)}: {told}; {advice}", file=sys.stderr)


def _format_dataset(found: Json) -> str:
    names = ", ".join(found["class_names"][:MAX_CLASS_NAMES]) + (
        ", …" if len(found["class_names"]) > MAX_CLASS_NAMES else ""
    )
    images = ", ".join(f"{part} {count:,}" for part, count in found.get("images", {}).items())
    told = f"{_format_dataset_name(found)}: {found['classes']:,} classes ({names}); images: {images}"
    if "value_range" not in found:
        return told
    low, high = found["value_range"]
    return f"{told}; values of {low:g} to {high:g} become black to white"


def _format_dataset_name(found: Json) -> str:
    return f"dataset {found['name']}" + (f" in {found['root']}" if "root" in found else "")
