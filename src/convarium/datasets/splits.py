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
    """Images of one part as a reader returns them.

    Attributes:
        images: as stored, uint8 (N, C, H, W).
        labels: int64 (N,).
        white_level: the pixel that is white.
        skipped: number of files that were left out because they are not images.
    """

    images: Tensor
    labels: Tensor
    white_level: int = 255
    skipped: int = 0

    def select(self, indices: NDArray[np.int64]) -> "RawImages":
        """Return the images at `indices`, in that order."""
        positions = torch.from_numpy(indices)
        return RawImages(self.images[positions], self.labels[positions], self.white_level)


@dataclass(frozen=True)
class ImagePaths:
    """Images of one part as a reader returns them where each is a file of its own.

    Attributes:
        paths: of the N files.
        labels: int64 (N,).
        skipped: number of files that the reader itself has left out.
    """

    paths: tuple[Path, ...]
    labels: Tensor
    skipped: int = 0


@dataclass(frozen=True)
class LabelledImages:
    """Images of one part as a network takes them.

    Attributes:
        images: float32 (N, C, H, W), normalised, channels-last in memory.
        labels: int64 (N,).
    """

    images: ImageTensors
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> "LabelledImages":
        """Return the same images and labels on another device."""
        return LabelledImages(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Splits:
    """The parts of a dataset that were asked for; the others are None.

    Attributes:
        mean, std: of each channel, for pixels in 0..1; the images are normalised by them.
        skipped: by part, the number of files that are not images and were left out (`dataset.on_error=skip`).
    """

    train: LabelledImages | None
    validation: LabelledImages | None
    test: LabelledImages | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    skipped: Mapping[str, int] = field(default_factory=dict)


def carve_validation(pixels: RawImages, name: str, share: float) -> dict[str, RawImages]:
    """Split a dataset's own training images: the given share becomes validation, the rest is train."""
    order = compute_stratified_order(pixels.labels, name)
    validation_count = round(len(order) * share)
    return {"validation": pixels.select(order[:validation_count]), "train": pixels.select(order[validation_count:])}


def compute_stratified_order(labels: Tensor, name: str) -> NDArray[np.int64]:
    """Return the indices of all images in an order of which every prefix is stratified (within one image a class).

    Fixed for ever: within a class images are ordered by sha256 of "name:index", then classes are interleaved evenly.
    Slices of the order are disjoint splits, prefixes of it are nested subsets.
    """
    classes = labels.numpy()
    hashes = np.array([sha256(f"{name}:{index}".encode()).digest()[:8] for index in range(len(classes))])
    shuffled = np.argsort(hashes.view(">u8"), kind="stable")
    # An image's place among those of its class, in 0..1: sorting all images by it interleaves the classes.
    class_positions = np.empty(len(classes))
    for label in np.unique(classes):
        members = shuffled[classes[shuffled] == label]
        class_positions[members] = (np.arange(len(members)) + 0.5) / len(members)
    interleaved = np.argsort(class_positions[shuffled], kind="stable")
    return shuffled[interleaved].astype(np.int64)
