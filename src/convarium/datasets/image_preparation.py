"""From stored pixels to a network's input: all images at once, or a batch at a time where they would not fit."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class ImagePreparation:
    """Scaling of uint8 pixels (N, C, H, W) to 0..1, bilinear resizing, repetition of a grey channel, normalisation.

    Attributes:
        white_level: the pixel that becomes 1.
        size: side of the square in pixels.
        mean, std: of each channel, for pixels in 0..1.
    """

    white_level: int
    size: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return float32 (N, channels, size, size), channels-last in memory."""
        images = pixels.to(torch.float32).div_(self.white_level)
        if images.shape[-1] != self.size:
            size = (self.size, self.size)
            images = functional.interpolate(images, size=size, mode="bilinear", antialias=True, align_corners=False)
        if images.shape[1] != self.channels:
            images = images.repeat(1, self.channels, 1, 1)
        mean, std = _build_channel_column(self.mean), _build_channel_column(self.std)
        return to_channels_last(images.sub_(mean).div_(std))


@dataclass(frozen=True, eq=False)
class LazyImages:
    """Images that would not fit into memory as float32.

    They are indexed and sliced like a tensor (N, C, H, W), and prepared when they are.
    """

    pixels: Tensor
    prepare: ImagePreparation
    device: torch.device = torch.device("cpu")  # noqa: RUF009

    @property
    def shape(self) -> torch.Size:
        """The shape (N, C, H, W) of all images when prepared."""
        side = self.prepare.size
        return torch.Size((len(self.pixels), self.prepare.channels, side, side))

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, indices: Tensor | slice) -> Tensor:
        if isinstance(indices, Tensor):
            indices = indices.cpu()
        return self.prepare(self.pixels[indices]).to(self.device)

    def to(self, device: torch.device | str) -> "LazyImages":
        """Return the same images, to be given on another device."""
        return replace(self, device=torch.device(device))

    def renormalise(self, mean: tuple[float, ...], std: tuple[float, ...]) -> "LazyImages":
        """Return the same images, normalised by another mean and std."""
        preparation = replace(self.prepare, mean=mean, std=std)
        return replace(self, prepare=preparation)


def to_channels_last(images: Tensor) -> Tensor:
    """Return images (N, C, H, W) channels-last in memory: LeNet-5 and ResNet-20 train 1.3 times faster so on a CPU."""
    images = images.contiguous(memory_format=torch.channels_last)
    if images.shape[1] == 1:
        # With one channel both layouts are the same bytes and torch keeps the strides, by which it picks its kernels.
        count, _, height, width = images.shape
        return images.as_strided((count, 1, height, width), (height * width, 1, width, 1))
    return images


def _build_channel_column(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values).reshape(1, -1, 1, 1)
