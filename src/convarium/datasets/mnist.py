"""MNIST (LeCun, Cortes, Burges 1998): 70,000 handwritten digits; split 55,000 / 5,000 / its own 10,000."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convarium.datasets import idx
from convarium.datasets.splits import RawImages

# The first 16 hex digits of each file of `idx.IDX_FILES`, in that order.
SHA256_PREFIXES = ("ba891046e6505d7a", "65a50cbbf4e906d7", "0fa7898d509279e4", "ff7bcfd416de3373")


def mnist(dataset: Mapping[str, Any], root: Path | None, parts: tuple[str, ...]) -> dict[str, RawImages]:
    """Read some parts from `root`/MNIST/raw."""
    return idx.read_idx("MNIST", dataset, root, parts, SHA256_PREFIXES)
