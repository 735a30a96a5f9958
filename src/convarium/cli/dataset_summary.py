"""Summaries of the folders of images that a command reads, printed before anything is trained on them."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.noun_count import format_noun_count

if TYPE_CHECKING:
    from convarium.config.point import Point

MAX_CLASS_NAMES = 5
SUMMARY_KEYS = ("name", "root", "classes", "class_names", "images", "value_range")

Json = dict[str, Any]


def summarise_datasets(points: Iterable["Point"]) -> list[Json]:
    """Return a summary of each distinct folder of the points.

    It has the classes, the number of images of each part, and of images of more than 8 bits the range by which they are
    scaled (`value_range`) and the files that are nearly constant after that (`nearly_constant`).
    """
    summaries: list[Json] = []
    for point in points:
        dataset = point.config["dataset"]
        if not dataset.get("class_names"):  # a published set, of which all is known
            continue
        summary = {key: dataset[key] for key in SUMMARY_KEYS if dataset.get(key) is not None}
        if "value_range" in summary and dataset["name"] == "image_folder":
            summary["nearly_constant"] = _find_nearly_constant(dataset, point.config["runtime"]["store"])
        if summary not in summaries:
            summaries.append(summary)
    return summaries


def _find_nearly_constant(dataset: Mapping[str, Any], store_folder: str) -> list[str]:
    from convarium.datasets.folder_images import list_folder_images
    from convarium.datasets.folder_images.high_bit_depth import is_nearly_constant
    from convarium.store.disk import cache_folder_of

    low, high = dataset["value_range"]
    manifest_folder = cache_folder_of(Path(store_folder)) / "manifests"
    listing = list_folder_images(Path(dataset["root"]), dataset["on_error"], manifest_folder, dataset["class_names"])
    images = [image for part in listing.parts.values() for image in part]
    return [
        str(image.path)
        for image in images
        if image.extent is not None and is_nearly_constant(image.extent, (low, high))
    ]


def print_dataset_summaries(summaries: Iterable[Json]) -> None:
    """Print a line for each dataset on stderr, and another one if some of its images are nearly constant."""
    for summary in summaries:
        print(_format_summary(summary), file=sys.stderr)
        constant_files = summary.get("nearly_constant")
        if constant_files:
            images = format_noun_count(len(constant_files), "image")
            are = "is" if len(constant_files) == 1 else "are"
            line = f"{images} {are} nearly constant in this range, such as {constant_files[0]}"
            advice = "dataset.value_range=[BLACK,WHITE] sets another range"
            print(f"{_format_dataset_name(summary)}: {line}; {advice}", file=sys.stderr)


def _format_summary(summary: Json) -> str:
    names = ", ".join(summary["class_names"][:MAX_CLASS_NAMES])
    if len(summary["class_names"]) > MAX_CLASS_NAMES:
        names += ", …"
    images = ", ".join(f"{part} {count:,}" for part, count in summary.get("images", {}).items())
    line = f"{_format_dataset_name(summary)}: {summary['classes']:,} classes ({names}); images: {images}"
    if "value_range" in summary:
        low, high = summary["value_range"]
        line += f"; values of {low:g} to {high:g} become black to white"
    return line


def _format_dataset_name(summary: Json) -> str:
    return f"dataset {summary['name']}" + (f" in {summary['root']}" if "root" in summary else "")
