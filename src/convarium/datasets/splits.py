"""Images and labels in memory, and fixed stratified splits that don't depend on any random generator."""

from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Pixels:
    """What a reader returns for one part: images as stored, uint8 (N, C, H, W), labels int64 (N,), the white level."""

    images: Tensor
    labels: Tensor
    white: int = 255

    def select(self, indices: NDArray[np.int64]) -> "Pixels":
        """Return the images at `indices`, in that order."""
        chosen = torch.from_numpy(indices)
        return Pixels(self.images[chosen], self.labels[chosen], self.white)


@dataclass(frozen=True)
class Tensors:
    """One part, ready for a network: float32 (N, C, H, W) normalised and channels-last in memory, labels int64 (N,)."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> "Tensors":
        """Return the same on another device."""
        return Tensors(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Splits:
    """The parts asked for (others None); mean and std per channel of pixels in 0..1, by which they are normalised."""

    train: Tensors | None
    validation: Tensors | None
    test: Tensors | None
    mean: tuple[float, ...]
    std: tuple[float, ...]


def channels_last(images: Tensor) -> Tensor:
    """Return images (N, C, H, W) channels-last in memory: LeNet-5 and ResNet-20 train 1.3 times faster on a CPU so.

    One channel is the same bytes either way, but torch goes by the strides.
    """
    images = images.contiguous(memory_format=torch.channels_last)
    if images.shape[1] == 1:
        count, _, height, width = images.shape
        return images.as_strided((count, 1, height, width), (height * width, 1, width, 1))
    return images


def stratified_order(labels: Tensor, name: str) -> NDArray[np.int64]:
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
