"""From stored pixels to what a network takes: all at once, or a batch at a time where that would not fit."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class ImagePreparation:
    """Resizes (bilinear), repeats a single channel, normalises; called with uint8 (N, C, H, W), white is 1."""

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
        return to_channels_last(images.sub_(_build_channel_column(self.mean)).div_(_build_channel_column(self.std)))


@dataclass(frozen=True, eq=False)
class LazyImages:
    """Images too many to be held as float32: indexed and sliced like a tensor (N, C, H, W), made ready on the way."""

    pixels: Tensor
    prepare: ImagePreparation
    device: torch.device = torch.device("cpu")  # noqa: RUF009

    @property
    def shape(self) -> torch.Size:
        """What a tensor of all images would have."""
        side = self.prepare.size
        return torch.Size((len(self.pixels), self.prepare.channels, side, side))

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, places: Tensor | slice) -> Tensor:
        chosen = places.cpu() if isinstance(places, Tensor) else places
        return self.prepare(self.pixels[chosen]).to(self.device)

    def to(self, device: torch.device | str) -> "LazyImages":
        """Return the same, whose batches come on another device."""
        return replace(self, device=torch.device(device))

    def renormalise(self, mean: tuple[float, ...], std: tuple[float, ...]) -> "LazyImages":
        """Return the same images, normalised by other values."""
        return replace(self, prepare=replace(self.prepare, mean=mean, std=std))


def to_channels_last(images: Tensor) -> Tensor:
    """Return images (N, C, H, W) channels-last in memory: LeNet-5 and ResNet-20 train 1.3 times faster on a CPU so.

    One channel is the same bytes either way, but torch goes by the strides.
    """
    images = images.contiguous(memory_format=torch.channels_last)
    if images.shape[1] == 1:
        count, _, height, width = images.shape
        return images.as_strided((count, 1, height, width), (height * width, 1, width, 1))
    return images


def _build_channel_column(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values).reshape(1, -1, 1, 1)
