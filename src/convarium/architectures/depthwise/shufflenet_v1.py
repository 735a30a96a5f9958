"""ShuffleNet v1: Zhang et al., "ShuffleNet: an extremely efficient convolutional neural network", CVPR 2018."""

from collections import OrderedDict
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from convarium.architectures.blocks import norms
from convarium.architectures.blocks.activations import repeat_for_pieces
from convarium.architectures.blocks.layers import LAYER_RULES, LayerChoice
from convarium.architectures.builder import Builder, one_of
from convarium.architectures.image_sizes import check_min_image_size

FIRST_STAGE_WIDTHS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}  # of the first stage by groups; each stage doubles it
UNITS_PER_STAGE = (4, 8, 4)
WIDTH_FACTORS = {"": 1.0, "_x05": 0.5, "_x15": 1.5, "_x20": 2.0}
SCALABLE_GROUPS = (3, 8)  # groups that divide the channels at every width


class Shuffle(nn.Module):
    """Reorders channels so that the next groups see some of all groups before; "released" reads rows, "paper" columns.

    The two orders are inverse to each other; equal where there are as many groups as channels a group.
    """

    def __init__(self, groups: int, order: str) -> None:
        super().__init__()
        self.groups, self.order = groups, order

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        rows = (-1, self.groups) if self.order == "released" else (self.groups, -1)
        return x.reshape(len(x), *rows, *x.shape[2:]).transpose(1, 2).flatten(1, 2)


class Unit(nn.Module):
    """A bottleneck of grouped 1x1, depthwise 3x3 and grouped 1x1 convolutions, shuffled between the groups.

    With stride 2 it halves the maps, and its input, averaged, is concatenated rather than added.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int, groups: tuple[int, int], order: str, layers: LayerChoice
    ) -> None:
        super().__init__()
        width, times, bias = outputs // 4, layers.pieces, not norms.has_shift(layers.norm)
        made = outputs - inputs if stride == 2 else outputs
        self.conv1 = nn.Conv2d(inputs, times * width, 1, groups=groups[0], bias=bias)
        self.norm1 = layers.norm_before_act(width)
        self.act1 = layers.act(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, groups=width, bias=bias)
        self.norm2 = norms.build_norm(layers.norm, width)
        self.shuffle = Shuffle(groups[1], order)
        self.conv3 = nn.Conv2d(width, times * made, 1, groups=groups[1], bias=bias)
        self.norm3 = layers.norm_before_act(made)
        self.act3 = layers.act(made)
        self.pool = nn.AvgPool2d(3, 2, 1) if stride == 2 else None
        self.early, self.activation = order == "paper", layers.activation

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, ceil(H / stride), ceil(W / stride))."""
        inner = self.act1(self.norm1(self.conv1(x)))
        inner = self.shuffle(inner) if self.early else inner
        inner = self.norm2(self.conv2(inner))
        inner = inner if self.early else self.shuffle(inner)
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
    """ShuffleNet v1 of 1, 2, 3, 4 or 8 groups; `scale` times as wide. Table 1 of the paper.

    At 3x224x224x1000, 3 groups have 1,865,728 parameters and 137,460,672 MACs, 1.5 times as wide 3,442,168 and
    292,443,552; 8 groups 2,434,768 and 138,365,952. The paper shuffles before the depthwise convolution, the code that
    its authors released behind it and the other way round, which no count can tell: `order`. That code has no bias in
    the classifier and drops no unit of the last maps but in the widest net; here there is the paper's bias.

    Raises:
        UserError: images smaller than 2 pixels.
    """
    check_min_image_size(name, 2, img_size)
    chosen, width = LayerChoice(**layers), round(FIRST_STAGE_WIDTHS[groups] * scale)
    inputs = _find_stem_width(groups, scale)
    made: OrderedDict[str, nn.Module] = OrderedDict(
        conv=chosen.conv(in_chans, inputs, 3, 2),
        norm=chosen.norm_before_act(inputs),
        activation=chosen.act(inputs),
        maxpool=nn.MaxPool2d(3, 2, 1),
    )
    for number, units in enumerate(UNITS_PER_STAGE, start=2):
        stage = nn.Sequential()
        for unit in range(units):
            first = 1 if (number, unit) == (2, 0) else groups
            stage.append(Unit(inputs, width, 1 if unit else 2, (first, groups), order, chosen))
            inputs = width
        made[f"stage{number}"], width = stage, 2 * width
    made |= chosen.head(inputs, num_classes)
    return nn.Sequential(made)


def _find_stem_width(groups: int, scale: float) -> int:
    """24 channels, twice as many in the widest net; half as many, or what eight groups need, in the narrowest."""
    if scale == 0.5:
        return 16 if groups == 8 else 12
    return 48 if scale == 2.0 else 24


def _make_builder(groups: int, ending: str) -> tuple[str, Builder]:
    name = f"shufflenet_v1_g{groups}{ending}"
    made = partial(shufflenet_v1, groups, WIDTH_FACTORS[ending], name)
    return name, Builder(made, {"order": one_of("released", "paper")}, SUPPORTED_LAYERS)


SUPPORTED_LAYERS = {key: LAYER_RULES[key] for key in ("activation", "norm", "pooling")}
BUILDERS = dict(
    _make_builder(groups, ending)
    for groups in FIRST_STAGE_WIDTHS
    for ending in WIDTH_FACTORS
    if not ending or groups in SCALABLE_GROUPS
)
