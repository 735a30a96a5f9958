"""Augmentations of a whole batch at once, drawn from torch's global random state."""

import torch
from torch import Tensor

from convarium.datasets.splits import to_channels_last


def augment_batch(images: Tensor, augmentation: str, black: Tensor) -> Tensor:
    """Apply `augmentation` (none, crop, crop_flip) to images (N, C, H, W).

    Crop: padded by an eighth of the side with `black` (a normalised value per channel), then cut out anew at random
    (4 pixels at 32, as He et al. 2016). Flip: mirrored left to right with probability 1/2.
    """
    if augmentation == "none":
        return images
    images = crop_randomly(images, max(1, images.shape[-1] // 8), black)
    return to_channels_last(flip_randomly(images) if augmentation == "crop_flip" else images)


def crop_randomly(images: Tensor, margin: int, black: Tensor) -> Tensor:
    """Shift each image by up to `margin` pixels in both directions."""
    count, channels, height, width = images.shape
    canvas = black.reshape(1, -1, 1, 1).expand(count, channels, height + 2 * margin, width + 2 * margin).clone()
    canvas[:, :, margin : margin + height, margin : margin + width] = images
    shifts = torch.randint(0, 2 * margin + 1, (2, count, 1)).to(images.device)
    rows = (shifts[0] + torch.arange(height, device=images.device))[:, None, :, None]
    columns = (shifts[1] + torch.arange(width, device=images.device))[:, None, None, :]
    every = torch.arange(count, device=images.device)[:, None, None, None]
    layers = torch.arange(channels, device=images.device)[None, :, None, None]
    return canvas[every, layers, rows, columns]


def flip_randomly(images: Tensor) -> Tensor:
    """Mirror about half of the images."""
    mirrored = (torch.rand(len(images)) < 0.5).to(images.device)[:, None, None, None]
    return torch.where(mirrored, images.flip(-1), images)
