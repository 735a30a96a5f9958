"""Mixtures of two images of a batch: mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019), drawn for each image."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from convarium.datasets.random_boxes import Boxes
from convarium.datasets.splits import to_channels_last


@dataclass(frozen=True)
class Mixture:
    """What the images of a batch were mixed with.

    Attributes:
        partner_labels: of the other image, int64 (N,).
        shares: of the image's own pixels, float32 (N,), 0..1.
    """

    partner_labels: Tensor
    shares: Tensor

    def select(self, part: slice) -> "Mixture":
        """Return that of some of the images."""
        return Mixture(self.partner_labels[part], self.shares[part])

    def build_targets(self, labels: Tensor, classes: int) -> Tensor:
        """Return the soft targets, float32 (N, classes): each image's share of both labels."""
        own = functional.one_hot(labels, classes)
        others = functional.one_hot(self.partner_labels, classes)
        return torch.lerp(others.float(), own.float(), self.shares[:, None])


def mix_batch(images: Tensor, labels: Tensor, mixup: float, cutmix: float) -> tuple[Tensor, Mixture]:
    """Mix each image (N, C, H, W) with its neighbour in the batch.

    An image's share is drawn from Beta(alpha, alpha). Where both alphas are above 0, each image draws with probability
    1/2 which of both it gets.

    Args:
        mixup: alpha of weighted means of all pixels; 0: none.
        cutmix: alpha of boxes that are taken from the neighbour; 0: none.
    """
    count, side = len(images), images.shape[-1]
    is_cut = torch.rand(count) < (0.5 if mixup else 1.0) if cutmix else torch.zeros(count, dtype=torch.bool)
    shares = torch.where(is_cut, _draw_shares(count, cutmix), _draw_shares(count, mixup))
    mask = draw_cutmix_boxes(shares, side).build_mask(side)
    cut_shares = 1 - mask.float().mean((1, 2, 3))  # a box that sticks out of its image is smaller than drawn
    shares = torch.where(is_cut, cut_shares, shares)
    column = (-1, 1, 1, 1)
    own_weights = torch.where(is_cut.reshape(column), 1 - mask.float(), shares.reshape(column)).to(images.device)
    mixed = torch.lerp(images.roll(1, 0), images, own_weights)
    return to_channels_last(mixed), Mixture(labels.roll(1, 0), shares.to(images.device))


def draw_cutmix_boxes(shares: Tensor, side: int) -> Boxes:
    """Return a box for each image whose own share of pixels is given, around a centre that is drawn evenly."""
    half_sides = (0.5 * (1 - shares).sqrt() * side).long()
    bounds = []
    for _ in ("vertical", "horizontal"):
        centres = torch.randint(side, (len(shares),))
        bounds.append(((centres - half_sides).clamp(min=0), (centres + half_sides).clamp(max=side)))
    (tops, bottoms), (lefts, rights) = bounds
    return Boxes(tops, lefts, bottoms - tops, rights - lefts)


def _draw_shares(count: int, alpha: float) -> Tensor:
    """Return draws from Beta(alpha, alpha); all 1 where alpha is 0."""
    if not alpha:
        return torch.ones(count)
    concentration = torch.full((count,), alpha)
    return torch.distributions.Beta(concentration, concentration).sample()
