"""CIFAR-10 (Krizhevsky 2009): 60,000 colour images of 10 classes, 32x32; split 45,000 / 5,000 / its own 10,000."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convarium.datasets import cifar
from convarium.datasets.splits import RawImages


def cifar10(dataset: Mapping[str, Any], root: Path | None, parts: tuple[str, ...]) -> dict[str, RawImages]:
    """Read some parts from `root`/cifar-10-batches-py."""
    return cifar.read_cifar("CIFAR10", dataset, root, parts)
