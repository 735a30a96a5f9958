"""Pyramid vision transformer, version 1 (Wang et al., ICCV 2021, "Pyramid vision transformer: a versatile backbone").

Table 8 of the review calls it PViT. timm's pvt_v2_* are its successor, with other patches, no class token and no
positions.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from convarium.architectures.blocks.attention import LAYER_RULES, Attention, Mlp, initialise_linear_layers
from convarium.architectures.blocks.dropout import build_dropout
from convarium.architectures.builder import Builder, int_between, list_of
from convarium.architectures.image_sizes import check_min_image_size
from convarium.errors import UserError

MapSize = tuple[int, int]


class ReducedAttention(nn.Module):
    """Attention to a map that a strided convolution has reduced (the paper's equation 2)."""

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.attention = Attention(width, heads)
        self.reduce = nn.Conv2d(width, width, reduction, reduction) if reduction > 1 else None
        self.norm = nn.LayerNorm(width) if reduction > 1 else None

    def forward(self, x: Tensor, size: MapSize) -> Tensor:
        """Map tokens (N, T, width) of a map of T = height * width pixels to tokens of the same shape."""
        if self.reduce is None or self.norm is None:
            return self.attention(x)  # type: ignore[no-any-return]
        reduced = self.reduce(torch.unflatten(x.transpose(1, 2), 2, size)).flatten(2).transpose(1, 2)
        return self.attention(x, self.norm(reduced))  # type: ignore[no-any-return]


class ReducedLayer(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)), where attention looks at the reduced map."""

    def __init__(self, width: int, heads: int, hidden: int, reduction: int, activation: str, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attention = ReducedAttention(width, heads, reduction)
        self.drop = build_dropout(dropout)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, hidden, activation, dropout)

    def forward(self, x: Tensor, size: MapSize) -> Tensor:
        """Map tokens (N, T, width) to tokens of the same shape."""
        x = x + self.drop(self.attention(self.norm1(x), size))
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]


class PvtStage(nn.Module):
    """Patches as tokens with learned positions, then layers; in the last stage a class token comes first."""

    def __init__(
        self, inputs: int, width: int, patch: int, side: int, has_token: bool, layers: list[ReducedLayer]
    ) -> None:
        super().__init__()
        self.embed = nn.Conv2d(inputs, width, patch, patch)
        self.norm = nn.LayerNorm(width)
        self.token = nn.Parameter(torch.zeros(1, 1, width)) if has_token else None
        self.positions = nn.Parameter(torch.zeros(1, side**2 + has_token, width))
        self.layers = nn.ModuleList(layers)
        nn.init.trunc_normal_(self.positions, std=0.02)
        if self.token is not None:
            nn.init.trunc_normal_(self.token, std=0.02)

    def forward(self, x: Tensor) -> tuple[Tensor, MapSize]:
        """Map (N, inputs, H, W) to tokens (N, T, width), a class token first, and the height and width of their map."""
        x = self.embed(x)
        size: MapSize = (x.shape[2], x.shape[3])
        x = self.norm(x.flatten(2).transpose(1, 2))
        if self.token is not None:
            x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1)
        x = x + self.positions
        for layer in self.layers:
            x = layer(x, size)
        return x, size


class Pvt(nn.Module):
    """Stages one after the other; the class token of the last is classified."""

    def __init__(self, stages: list[PvtStage], width: int, num_classes: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, num_classes)
        initialise_linear_layers(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        *first, last = self.stages
        for stage in first:
            tokens, size = stage(x)
            x = tokens.transpose(1, 2).unflatten(2, size)
        tokens, _ = last(x)
        return self.head(self.norm(tokens)[:, 0])  # type: ignore[no-any-return]


def pvt(
    name: str,
    in_chans: int,
    num_classes: int,
    img_size: int,
    *,
    depths: Sequence[int] = (2, 2, 2, 2),
    widths: Sequence[int] = (64, 128, 320, 512),
    heads: Sequence[int] = (1, 2, 5, 8),
    ratios: Sequence[int] = (8, 8, 4, 4),
    reductions: Sequence[int] = (8, 4, 2, 1),
    patch: int = 4,
    activation: str = "gelu",
    dropout: float = 0.0,
) -> nn.Module:
    """PVT as in table 1 of the paper; depths 2222 (tiny) give 13,229,288 parameters at 3x224x224, 1000 classes.

    Pixels at the right and lower edge that don't fill a patch are not seen, as in any convolution without padding.

    Args:
        depths: layers of each stage.
        widths: channels of each stage's tokens.
        heads: of each stage's attention.
        ratios: hidden channels of each stage's MLPs, divided by its width.
        reductions: the side of each stage's map divided by that of the map which attention looks at.
        patch: side of the first stage's patches in pixels; those of the other stages have 2.

    Raises:
        UserError: lists of different lengths, heads that don't divide the width, or an image that is too small.
    """
    lengths = {len(values) for values in (depths, widths, heads, ratios, reductions)}
    if len(lengths) > 1:
        raise UserError(f"{name}: depths, widths, heads, ratios and reductions must have one length, a value a stage")
    is_divisible = all(width % count == 0 for width, count in zip(widths, heads, strict=True))
    # The last stage's tokens begin with the class token, so they are no map that a convolution could reduce.
    if not is_divisible or reductions[-1] > 1:
        raise UserError(f"{name}: each width must be a multiple of its heads, and the last of reductions 1")
    strides = [patch * 2**index for index in range(len(depths))]  # pixels of the image for each token
    min_size = max(stride * reduction for stride, reduction in zip(strides, reductions, strict=True))
    check_min_image_size(name, min_size, img_size)
    stages, inputs = [], in_chans
    for index, stride in enumerate(strides):
        width, hidden = widths[index], ratios[index] * widths[index]
        layers = [
            ReducedLayer(width, heads[index], hidden, reductions[index], activation, dropout)
            for _ in range(depths[index])
        ]
        is_last = index == len(depths) - 1
        stages.append(PvtStage(inputs, width, patch if index == 0 else 2, img_size // stride, is_last, layers))
        inputs = width
    return Pvt(stages, widths[-1], num_classes)


KWARG_RULES = {
    "depths": list_of(int_between(1, 64), 1, 4),
    "widths": list_of(int_between(1, 4096), 1, 4),
    "heads": list_of(int_between(1, 64), 1, 4),
    "ratios": list_of(int_between(1, 16), 1, 4),
    "reductions": list_of(int_between(1, 64), 1, 4),
    "patch": int_between(1, 64),
}
DEPTHS = {"tiny": (2, 2, 2, 2), "small": (3, 4, 6, 3), "medium": (3, 4, 18, 3), "large": (3, 8, 27, 3)}
BUILDERS = {
    f"pvt_{size}": Builder(partial(pvt, f"pvt_{size}", depths=depths), KWARG_RULES, LAYER_RULES)
    for size, depths in DEPTHS.items()
}
