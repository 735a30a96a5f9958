"""ShuffleNet v1: Zhang et al., "ShuffleNet: an extremely efficient convolutional neural network", CVPR 2018."""

from collections import OrderedDict
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from convarium.architectures.blocks.activations import repeat_for_pieces
from convarium.architectures.blocks.layers import LAYER_RULES, LayerChoice
from convarium.architectures.builder import Builder, one_of
from convarium.architectures.image_sizes import check_min_image_size

FIRST_STAGE_WIDTHS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}  # by groups; each further stage doubles it
UNITS_PER_STAGE = (4, 8, 4)
WIDTH_FACTORS = {"": 1.0, "_x05": 0.5, "_x15": 1.5, "_x20": 2.0}
SCALABLE_GROUPS = (3, 8)  # they divide the channels at every width


class ChannelShuffle(nn.Module):
    """Reorders channels so that each group of the next convolution gets some of every group of the one before.

    The orders "released" and "paper" are inverse, and equal where there are as many groups as channels in a group.
    """

    def __init__(self, groups: int, order: str) -> None:
        super().__init__()
        self.groups, self.order = groups, order

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        matrix = (-1, self.groups) if self.order == "released" else (self.groups, -1)
        return x.reshape(len(x), *matrix, *x.shape[2:]).transpose(1, 2).flatten(1, 2)


class ShuffleUnit(nn.Module):
    """A bottleneck of grouped 1x1, depthwise 3x3 and grouped 1x1 convolutions, shuffled between the groups.

    With stride 2 it halves the maps, and its input, averaged, is concatenated rather than added.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int, groups: tuple[int, int], order: str, layers: LayerChoice
    ) -> None:
        super().__init__()
        width, pieces, bias = outputs // 4, layers.pieces, layers.needs_bias
        new_channels = outputs - inputs if stride == 2 else outputs  # the rest is the averaged input
        self.conv1 = nn.Conv2d(inputs, pieces * width, 1, groups=groups[0], bias=bias)
        self.norm1 = layers.norm_before_act(width)
        self.act1 = layers.act(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, groups=width, bias=bias)
        self.norm2 = layers.plain_norm(width)
        self.shuffle = ChannelShuffle(groups[1], order)
        self.conv3 = nn.Conv2d(width, pieces * new_channels, 1, groups=groups[1], bias=bias)
        self.norm3 = layers.norm_before_act(new_channels)
        self.act3 = layers.act(new_channels)
        self.pool = nn.AvgPool2d(3, 2, 1) if stride == 2 else None
        self.shuffles_early = order == "paper"
        self.activation = layers.activation

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, ceil(H / stride), ceil(W / stride))."""
        inner = self.act1(self.norm1(self.conv1(x)))
        if self.shuffles_early:
            inner = self.norm2(self.conv2(self.shuffle(inner)))
        else:
            inner = self.shuffle(self.norm2(self.conv2(inner)))
        inner = self.norm3(self.conv3(inner))
        if self.pool is None:
            return self.act3(repeat_for_pieces(x, self.activation) + inner)  # type: ignore[no-any-return]
        return torch.cat([self.pool(x), self.act3(inner)], 1)


def shufflenet_v1(
    groups: int,
    scale: float,
    name: str,
    in_chans: int,
    num_classes: int,
    img_size: int,
    order: str = "released",
    **layers: Any,
) -> nn.Module:
    """ShuffleNet v1 with 1, 2, 3, 4 or 8 groups, its channels times `scale`, as in table 1 of the paper.

    At 3x224x224, 1000 classes, 3 groups have 1,865,728 parameters and 137,460,672 MACs, at scale 1.5 3,442,168 and
    292,443,552; 8 groups have 2,434,768 and 138,365,952.

    The paper shuffles before the depthwise convolution; the code that its authors released shuffles after it, in the
    inverse order. No count tells which one gave the paper's results, so `order` chooses. That code also has no bias in
    the classifier, and dropout before it in the widest network only; here there is the paper's bias and no dropout.

    Raises:
        UserError: images smaller than 2 pixels.
    """
    check_min_image_size(name, 2, img_size)
    choice = LayerChoice(**layers)
    inputs = _find_stem_width(groups, scale)
    modules: OrderedDict[str, nn.Module] = OrderedDict(
        conv=choice.conv(in_chans, inputs, 3, 2),
        norm=choice.norm_before_act(inputs),
        activation=choice.act(inputs),
        maxpool=nn.MaxPool2d(3, 2, 1),
    )
    width = round(FIRST_STAGE_WIDTHS[groups] * scale)
    for number, units in enumerate(UNITS_PER_STAGE, start=2):  # the paper's stage 1 is the stem
        stage = nn.Sequential()
        for index in range(units):
            stride = 2 if index == 0 else 1
            # The paper leaves the very first 1x1 convolution ungrouped, because it has few inputs.
            first_groups = 1 if (number, index) == (2, 0) else groups
            stage.append(ShuffleUnit(inputs, width, stride, (first_groups, groups), order, choice))
            inputs = width
        modules[f"stage{number}"] = stage
        width *= 2
    modules |= choice.head(inputs, num_classes)
    return nn.Sequential(modules)


def _find_stem_width(groups: int, scale: float) -> int:
    """Return 24 channels, 48 in the widest network, and in the narrowest 12, or 16 with eight groups."""
    if scale == 0.5:
        return 16 if groups == 8 else 12
    return 48 if scale == 2.0 else 24


def _build_entry(groups: int, suffix: str) -> tuple[str, Builder]:
    name = f"shufflenet_v1_g{groups}{suffix}"
    build = partial(shufflenet_v1, groups, WIDTH_FACTORS[suffix], name)
    return name, Builder(build, {"order": one_of("released", "paper")}, SUPPORTED_LAYERS)


SUPPORTED_LAYERS = {key: LAYER_RULES[key] for key in ("activation", "norm", "pooling")}
BUILDERS = dict(
    _build_entry(groups, suffix)
    for groups in FIRST_STAGE_WIDTHS
    for suffix in WIDTH_FACTORS
    if suffix == "" or groups in SCALABLE_GROUPS
)
