"""Pyramid vision transformer, version 1 (Wang et al., ICCV 2021, "Pyramid vision transformer: a versatile backbone").

Table 8 of the review calls it PViT. timm's pvt_v2_* are the successor: other patches, no class token, no positions.
"""

from collections.abc import Sequence
from functools import partial
from itertools import count

import torch
from torch import Tensor, nn

from convarium.architectures.blocks.attention import LAYER_RULES, Attention, Mlp, initialise_linear_layers
from convarium.architectures.blocks.dropout import build_dropout as make_dropout
from convarium.architectures.builder import Builder, int_between, list_of
from convarium.errors import UserError

Side = tuple[int, int]


class ReducedAttention(nn.Module):
    """Attention to a map that a strided convolution has made smaller (the paper's equation 2)."""

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.attention = Attention(width, heads)
        self.reduce = nn.Conv2d(width, width, reduction, reduction) if reduction > 1 else None
        self.norm = nn.LayerNorm(width) if reduction > 1 else None

    def forward(self, x: Tensor, side: Side) -> Tensor:
        """Map tokens (N, T, width) of a map of T = height * width pixels to tokens of the same shape."""
        if self.reduce is None or self.norm is None:
            return self.attention(x)  # type: ignore[no-any-return]
        reduced = self.reduce(torch.unflatten(x.transpose(1, 2), 2, side)).flatten(2).transpose(1, 2)
        return self.attention(x, self.norm(reduced))  # type: ignore[no-any-return]


class ReducedLayer(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)), where attention looks at the smaller map."""

    def __init__(self, width: int, heads: int, hidden: int, reduction: int, activation: str, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attention = ReducedAttention(width, heads, reduction)
        self.drop = make_dropout(dropout)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, hidden, activation, dropout)

    def forward(self, x: Tensor, side: Side) -> Tensor:
        """Map tokens (N, T, width) to tokens of the same shape."""
        x = x + self.drop(self.attention(self.norm1(x), side))
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]


class Stage(nn.Module):
    """Patches as tokens, with learned positions; in the last stage a class token stands before them."""

    def __init__(self, inputs: int, width: int, patch: int, side: int, token: bool, layers: list[ReducedLayer]) -> None:
        super().__init__()
        self.embed = nn.Conv2d(inputs, width, patch, patch)
        self.norm = nn.LayerNorm(width)
        self.token = nn.Parameter(torch.zeros(1, 1, width)) if token else None
        self.positions = nn.Parameter(torch.zeros(1, side**2 + token, width))
        self.layers = nn.ModuleList(layers)
        for parameter in (self.positions, *([] if self.token is None else [self.token])):
            nn.init.trunc_normal_(parameter, std=0.02)

    def forward(self, x: Tensor) -> tuple[Tensor, Side]:
        """Map (N, inputs, H, W) to tokens (N, T, width), the class token first, and the height and width of T."""
        x = self.embed(x)
        side: Side = (x.shape[2], x.shape[3])
        x = self.norm(x.flatten(2).transpose(1, 2))
        if self.token is not None:
            x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1)
        x = x + self.positions
        for layer in self.layers:
            x = layer(x, side)
        return x, side


class Pvt(nn.Module):
    """Stages one after the other; the class token of the last is classified."""

    def __init__(self, stages: list[Stage], width: int, num_classes: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, num_classes)
        initialise_linear_layers(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        *first, last = self.stages
        for stage in first:
            tokens, side = stage(x)
            x = tokens.transpose(1, 2).unflatten(2, side)
        return self.head(self.norm(last(x)[0])[:, 0])  # type: ignore[no-any-return]


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

    Pixels that don't fill a patch at the right and lower edge are not seen, as in any convolution without padding.

    Args:
        depths: layers of each stage; widths, heads, ratios (of the MLP) and reductions (of keys and values) alike.
        patch: pixels of the first stage's patches a side; those of the others have 2.

    Raises:
        UserError: lists of different lengths, heads that don't divide the width, or an image that is too small.
    """
    lists = (depths, widths, heads, ratios, reductions)
    if len({len(values) for values in lists}) > 1:
        raise UserError(f"{name}: depths, widths, heads, ratios and reductions must have one length, a value a stage")
    if any(width % share for width, share in zip(widths, heads, strict=True)) or reductions[-1] > 1:
        raise UserError(f"{name}: each width must be a multiple of its heads, and the last of reductions 1")
    if not _is_large_enough(img_size, patch, reductions):
        least = next(side for side in count(1) if _is_large_enough(side, patch, reductions))
        raise UserError(f"{name} needs images of at least {least} pixels a side, dataset.img_size is {img_size}")
    stages, inputs = [], in_chans
    for index, (side, depth, width, share, ratio, reduction) in enumerate(
        zip(_list_map_sides(img_size, patch, len(depths)), *lists, strict=True)
    ):
        layers = [ReducedLayer(width, share, ratio * width, reduction, activation, dropout) for _ in range(depth)]
        stages.append(Stage(inputs, width, 2 if index else patch, side, index == len(depths) - 1, layers))
        inputs = width
    return Pvt(stages, widths[-1], num_classes)


def _list_map_sides(img_size: int, patch: int, stages: int) -> list[int]:
    return [img_size // patch // 2**stage for stage in range(stages)]


def _is_large_enough(img_size: int, patch: int, reductions: Sequence[int]) -> bool:
    sides = _list_map_sides(img_size, patch, len(reductions))
    return all(side >= reduction for side, reduction in zip(sides, reductions, strict=True))


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
