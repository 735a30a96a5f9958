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
    if augmentation == "crop_flip":
        images = flip_randomly(images)
    return to_channels_last(images)


def crop_randomly(images: Tensor, margin: int, black: Tensor) -> Tensor:
    """Shift each image by up to `margin` pixels in both directions; uncovered pixels become `black`."""
    count, channels, height, width = images.shape
    padded_shape = (count, channels, height + 2 * margin, width + 2 * margin)
    padded = black.reshape(1, -1, 1, 1).expand(padded_shape).clone()
    padded[:, :, margin : margin + height, margin : margin + width] = images
    # Drawn on the CPU: the same crops on every device.
    shifts = torch.randint(0, 2 * margin + 1, (2, count, 1)).to(images.device)
    rows = shifts[0] + torch.arange(height, device=images.device)
    columns = shifts[1] + torch.arange(width, device=images.device)
    image_indices = torch.arange(count, device=images.device)
    channel_indices = torch.arange(channels, device=images.device)
    return padded[
        image_indices[:, None, None, None],
        channel_indices[None, :, None, None],
        rows[:, None, :, None],
        columns[:, None, None, :],
    ]


def flip_randomly(images: Tensor) -> Tensor:
    """Mirror each image left to right with probability 1/2."""
    is_mirrored = (torch.rand(len(images)) < 0.5).to(images.device)
    return torch.where(is_mirrored[:, None, None, None], images.flip(-1), images)
