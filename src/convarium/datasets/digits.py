"""1,797 handwritten digits of 8x8 pixels (UCI optical recognition), inside scikit-learn; split 1,297 / 200 / 300."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convarium.datasets.digest import verify
from convarium.datasets.packaged import cut, locate, table
from convarium.datasets.splits import Pixels, stratified_order

SHA256 = "09f66e6debdee2cd"


def digits(dataset: Mapping[str, Any], root: Path | None, parts: tuple[str, ...]) -> dict[str, Pixels]:
    """Read them; `root` is not needed. Pixels are 0..16."""
    path = locate("sklearn", "datasets/data/digits.csv.gz", "digits")
    verify([path], dataset["fingerprint"], [SHA256], "digits")
    pixels = table(path, side=8, white=16)
    return cut(pixels, stratified_order(pixels.labels, "digits"), {"test": 300, "validation": 200, "train": 1297})
