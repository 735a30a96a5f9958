"""What a look at the folders of pictures found, said before anything is made of it."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convarium.config.point import Point

NAMED = 5

Json = dict[str, Any]


def find_datasets(points: Iterable["Point"]) -> list[Json]:
    """Return what was found in each distinct folder of the points: its classes, and the images in each part."""
    keys = ("name", "root", "classes", "class_names", "images")
    found: list[Json] = []
    for point in points:
        dataset = point.config["dataset"]
        if not dataset.get("class_names"):  # of a published set nothing is left to be found
            continue
        told = {key: dataset.get(key) for key in keys}
        if told not in found:
            found.append(told)
    return found


def print_datasets(found: Iterable[Json]) -> None:
    """Print a line for each dataset on stderr."""
    for one in found:
        print(_line(one), file=sys.stderr)


def _line(found: Json) -> str:
    names = ", ".join(found["class_names"][:NAMED]) + (", …" if len(found["class_names"]) > NAMED else "")
    images = ", ".join(f"{part} {count:,}" for part, count in (found["images"] or {}).items())
    return f"dataset {found['name']} in {found['root']}: {found['classes']:,} classes ({names}); images: {images}"
