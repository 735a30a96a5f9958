"""Images and labels, and fixed stratified splits that don't depend on any random generator."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convarium.datasets.image_preparation import LazyImages, to_channels_last

__all__ = [
    "ImagePaths",
    "ImageTensors",
    "LabelledImages",
    "RawImages",
    "Splits",
    "carve_validation",
    "compute_stratified_order",
    "to_channels_last",
]

ImageTensors = Tensor | LazyImages


@dataclass(frozen=True)
class RawImages:
    """What a reader returns for one part: images as stored, uint8 (N, C, H, W), labels int64 (N,), the white level.

    `skipped` counts files that were left out.
    """

    images: Tensor
    labels: Tensor
    white_level: int = 255
    skipped: int = 0

    def select(self, indices: NDArray[np.int64]) -> "RawImages":
        """Return the images at `indices`, in that order."""
        chosen = torch.from_numpy(indices)
        return RawImages(self.images[chosen], self.labels[chosen], self.white_level)


@dataclass(frozen=True)
class ImagePaths:
    """What a reader returns instead for a part that lies in one file per image: paths, and labels int64 (N,).

    `skipped` counts files that the reader itself has left out.
    """

    paths: tuple[Path, ...]
    labels: Tensor
    skipped: int = 0


@dataclass(frozen=True)
class LabelledImages:
    """One part, ready for a network: float32 (N, C, H, W) normalised and channels-last in memory, labels int64 (N,)."""

    images: ImageTensors
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> "LabelledImages":
        """Return the same on another device."""
        return LabelledImages(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Splits:
    """The parts asked for (others None); mean and std per channel of pixels in 0..1, by which they are normalised.

    `skipped` counts, by part, the files that are not images and were left out (`dataset.on_error=skip`).
    """

    train: LabelledImages | None
    validation: LabelledImages | None
    test: LabelledImages | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    skipped: Mapping[str, int] = field(default_factory=dict)


def carve_validation(pixels: RawImages, name: str, share: float) -> dict[str, RawImages]:
    """Take a share of a set's own training images for validation."""
    order = compute_stratified_order(pixels.labels, name)
    held = round(len(order) * share)
    return {"validation": pixels.select(order[:held]), "train": pixels.select(order[held:])}


def compute_stratified_order(labels: Tensor, name: str) -> NDArray[np.int64]:
    """Order all images so that every prefix holds the classes in their proportions (each within one image).

    Fixed for ever: within a class images are ordered by sha256 of "name:index", then classes are interleaved evenly.
    Slices of it are disjoint splits, prefixes of it are nested subsets.
    """
    classes = labels.numpy()
    hashes = np.array([sha256(f"{name}:{index}".encode()).digest()[:8] for index in range(len(classes))])
    mixed = np.argsort(hashes.view(">u8"), kind="stable")
    place = np.empty(len(classes))
    for label in np.unique(classes):
        members = mixed[classes[mixed] == label]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return mixed[np.argsort(place[mixed], kind="stable")].astype(np.int64)
