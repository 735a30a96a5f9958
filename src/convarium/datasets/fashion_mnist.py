"""Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): 70,000 pieces of clothing; split 55,000 / 5,000 / its own 10,000."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convarium.datasets import idx
from convarium.datasets.splits import RawImages

# The first 16 hex digits of each file of `idx.IDX_FILES`, in that order.
SHA256_PREFIXES = ("c59f468a2f672dc8", "bad3541b69d91243", "5b4141f0afbad91e", "0402a96d92fd2663")


def fashion_mnist(dataset: Mapping[str, Any], root: Path | None, parts: tuple[str, ...]) -> dict[str, RawImages]:
    """Read some parts from `root`/FashionMNIST/raw."""
    return idx.read_idx("FashionMNIST", dataset, root, parts, SHA256_PREFIXES)
