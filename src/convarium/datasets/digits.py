"""1,797 handwritten digits of 8x8 pixels (UCI optical recognition), inside scikit-learn; split 1,297 / 200 / 300."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convarium.datasets.fingerprints import check_sha256
from convarium.datasets.packaged_tables import locate_package_file, read_pixel_table, slice_parts
from convarium.datasets.splits import RawImages, compute_stratified_order

SHA256_PREFIX = "09f66e6debdee2cd"  # the first 16 hex digits of the file that scikit-learn carries


def digits(dataset: Mapping[str, Any], root: Path | None, parts: tuple[str, ...]) -> dict[str, RawImages]:
    """Read all parts, pixels in 0..16; `root` is not needed."""
    path = locate_package_file("sklearn", "datasets/data/digits.csv.gz", "digits")
    check_sha256([path], dataset["fingerprint"], [SHA256_PREFIX], "digits")
    pixels = read_pixel_table(path, side=8, white_level=16)
    order = compute_stratified_order(pixels.labels, "digits")
    return slice_parts(pixels, order, {"test": 300, "validation": 200, "train": 1297})
