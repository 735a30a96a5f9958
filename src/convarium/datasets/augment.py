"""Augmentations of a whole batch at once, drawn for each image from torch's global random state."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from convarium.config.recipe import restore_default_keys
from convarium.datasets.random_boxes import draw_boxes
from convarium.datasets.splits import to_channels_last

ERASED_AREA = (0.02, 0.33)
ERASED_ASPECT = (0.3, 3.3)


class Augmentation:
    """What a recipe does to the images of every batch.

    Args:
        recipe: gives augmentation, smallest_crop, policy (with its knobs) and erasing.
        mean, std: by which the images were normalised, (C,), on the images' device.
    """

    def __init__(self, recipe: Mapping[str, Any], mean: Tensor, std: Tensor) -> None:
        self.recipe = restore_default_keys(recipe)
        self.mean, self.std = mean, std
        self.black = -mean / std
        is_cropped, has_policy = self.recipe["augmentation"] != "none", self.recipe["policy"] != "none"
        self.is_empty = not (is_cropped or has_policy or self.recipe["erasing"])

    def augment_batch(self, images: Tensor) -> Tensor:
        """Return normalised images (N, C, H, W), cut out, then changed by the policy, then erased in part."""
        if self.is_empty:
            return images
        images = self._crop_and_flip(images)
        if self.recipe["policy"] != "none":
            # torchvision's transforms take a while to import.
            from convarium.datasets.augment_policy import apply_policy

            images = apply_policy(images, self.recipe, self.mean, self.std)
        if self.recipe["erasing"]:
            images = erase_randomly(images, self.recipe["erasing"])
        return to_channels_last(images)

    def _crop_and_flip(self, images: Tensor) -> Tensor:
        """Crop and flip as `recipe.augmentation` says.

        crop: padded by an eighth of the side with black, then cut out anew at random (4 pixels at 32, as He et al.
        2016). resized_crop: `crop_and_resize_randomly`. flip: mirrored left to right with probability 1/2.
        """
        name = self.recipe["augmentation"]
        if name == "none":
            return images
        if name == "resized_crop_flip":
            from convarium.datasets.resized_crop import crop_and_resize_randomly

            images = crop_and_resize_randomly(images, self.recipe["smallest_crop"])
        else:
            images = crop_randomly(images, max(1, images.shape[-1] // 8), self.black)
        return images if name == "crop" else flip_randomly(images)


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


def erase_randomly(images: Tensor, probability: float) -> Tensor:
    """Set a box of each image to 0, the mean of normalised pixels (Zhong et al. 2020), with some probability.

    Boxes as torchvision's RandomErasing draws them: 2 to 33 % of the image, 0.3 to 3.3 times as high as wide.
    """
    side = images.shape[-1]
    is_erased = torch.rand(len(images)) < probability
    boxes = draw_boxes(len(images), side, ERASED_AREA, ERASED_ASPECT, largest=side - 1, fallback=0)
    mask = boxes.build_mask(side) & is_erased[:, None, None, None]
    return images.masked_fill(mask.to(images.device), 0.0)
