"""The augmentation of photographs: a part of random size and shape, brought to the size of the whole."""

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from convarium.datasets.random_boxes import draw_boxes

CROP_ASPECT = (3 / 4, 4 / 3)


def crop_and_resize_randomly(images: Tensor, smallest_crop: float) -> Tensor:
    """Cut a box of its own out of each image and bring it to the image's size, bilinear (Szegedy et al. 2015).

    Boxes as torchvision's RandomResizedCrop draws them: `smallest_crop` to 1 of the area, of sides that differ by at
    most a third. It cuts the prepared image, not the photograph that it was made from.
    """
    side = images.shape[-1]
    boxes = draw_boxes(len(images), side, (smallest_crop, 1.0), CROP_ASPECT, largest=side, fallback=side)
    corners = torch.stack([boxes.tops, boxes.lefts, boxes.heights, boxes.widths], dim=1).tolist()
    crops = [
        functional.resized_crop_image(image, top, left, height, width, [side, side], antialias=True)
        for image, (top, left, height, width) in zip(images, corners, strict=True)
    ]
    return torch.stack(crops)
