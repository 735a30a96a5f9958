"""Boxes within square images, one drawn for each image of a batch from torch's global random state."""

from dataclasses import dataclass

import torch
from torch import Tensor

ATTEMPTS = 10  # as torchvision's RandomResizedCrop and RandomErasing make


@dataclass(frozen=True)
class Boxes:
    """One box an image, in pixels, int64 (N,) each, on the CPU."""

    tops: Tensor
    lefts: Tensor
    heights: Tensor
    widths: Tensor

    def build_mask(self, side: int) -> Tensor:
        """Return where the boxes are, bool (N, 1, side, side)."""
        places = torch.arange(side)
        in_rows = (places >= self.tops[:, None]) & (places < (self.tops + self.heights)[:, None])
        in_columns = (places >= self.lefts[:, None]) & (places < (self.lefts + self.widths)[:, None])
        return (in_rows[:, :, None] & in_columns[:, None, :])[:, None]


def draw_boxes(
    count: int, side: int, area: tuple[float, float], aspect: tuple[float, float], largest: int, fallback: int
) -> Boxes:
    """Draw the boxes of `count` images; drawn on the CPU, they are the same on every device.

    Args:
        side: of the images.
        area: bounds of the share of the image, drawn evenly.
        aspect: bounds of height / width, of which the logarithm is drawn evenly.
        largest: longest side that a box may have; what is longer is drawn anew.
        fallback: side of the box where no draw fitted.
    """
    areas = torch.empty(ATTEMPTS, count).uniform_(*area) * side**2
    low, high = torch.tensor(aspect).log().tolist()
    aspects = torch.empty(ATTEMPTS, count).uniform_(low, high).exp()
    heights, widths = (areas * aspects).sqrt().round().long(), (areas / aspects).sqrt().round().long()
    is_fitting = (heights <= largest) & (widths <= largest) & (heights > 0) & (widths > 0)
    has_fit, chosen = is_fitting.any(0), is_fitting.int().argmax(0)
    images = torch.arange(count)
    heights = heights[chosen, images].where(has_fit, fallback)
    widths = widths[chosen, images].where(has_fit, fallback)
    return Boxes(_draw_starts(side - heights), _draw_starts(side - widths), heights, widths)


def _draw_starts(room: Tensor) -> Tensor:
    """Return a whole number in 0..room for each, evenly."""
    return (torch.rand(len(room)) * (room + 1)).long().minimum(room)
