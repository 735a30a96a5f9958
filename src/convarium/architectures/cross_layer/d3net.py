"""D3Net: dense blocks of dense blocks whose convolutions have several dilations (Takahashi & Mitsufuji, CVPR 2021).

"Densely connected multi-dilated convolutional networks for dense prediction tasks". The widths are those of the
configurations that the authors released; no total is published, so the counts are this reading's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from convarium.architectures.blocks.activations import ACTIVATION_NAMES
from convarium.architectures.blocks.layers import LAYER_RULES, LayerChoice
from convarium.architectures.builder import ArgumentRule, Builder, one_of
from convarium.architectures.image_sizes import check_min_image_size

STEM_WIDTH, SLICES, BOTTLENECK_FACTOR, COMPRESSION_FACTOR = 64, 4, 4, 0.2


@dataclass(frozen=True)
class D3NetSize:
    """What tells the variants apart.

    Attributes:
        growth: maps of a slice.
        blocks: D2 blocks of each of the four stages.
        outputs: maps that each stage gives to the head.
    """

    growth: int
    blocks: int
    outputs: Sequence[int]


SIZES = {"d3net_s": D3NetSize(36, 8, (32, 40, 64, 128)), "d3net_l": D3NetSize(64, 10, (32, 48, 96, 192))}


def act_then_conv(layers: LayerChoice, conv: nn.Conv2d) -> nn.Sequential:
    """Return a normalisation and an activation before a convolution."""
    return nn.Sequential(layers.norm_before_act(conv.in_channels), layers.act(conv.in_channels), conv)


def conv_then_act(layers: LayerChoice, conv: nn.Conv2d) -> nn.Sequential:
    """Return a convolution with its normalisation and activation behind it."""
    return nn.Sequential(conv, layers.norm_before_act(conv.out_channels), layers.act(conv.out_channels))


def dilated_conv3x3(inputs: int, outputs: int, dilation: int = 1) -> nn.Conv2d:
    """Return a 3x3 convolution that keeps the size of the maps."""
    return nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)


class MultiDilated(nn.Module):
    """The multidilated convolutions of a D2 block, the paper's equation 4 and figure 3.

    A 3x3 convolution gives slices of `growth` maps; slice j - 1, once complete, goes through a convolution of dilation
    2^j whose maps are added to the slices from j on. So no convolution skips pixels that none before it has seen.
    """

    def __init__(self, layers: LayerChoice, inputs: int, growth: int, slices: int = SLICES) -> None:
        super().__init__()
        self.first = act_then_conv(layers, dilated_conv3x3(inputs, growth * slices))
        self.dilated = nn.ModuleList(
            act_then_conv(layers, dilated_conv3x3(growth, growth * (slices - number), 2**number))
            for number in range(1, slices)
        )
        self.growth = growth

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, slices * growth, H, W)."""
        rest, done = self.first(x), []
        for convolution in self.dilated:
            done.append(rest[:, : self.growth])
            rest = rest[:, self.growth :] + convolution(done[-1])
        return torch.cat([*done, rest], 1)


def d2_block(layers: LayerChoice, inputs: int, growth: int, outputs: int) -> nn.Sequential:
    """Return a D2 block: a 1x1 bottleneck where the input is wider than it, dilated convolutions, a last 1x1."""
    width = BOTTLENECK_FACTOR * growth
    narrow = [act_then_conv(layers, nn.Conv2d(inputs, width, 1))] if inputs > width else []
    seen = MultiDilated(layers, min(inputs, width), growth)
    last = nn.Conv2d(SLICES * growth, outputs, 1, bias=layers.needs_bias)
    return nn.Sequential(*narrow, seen, layers.drop(), act_then_conv(layers, last))


class D3Block(nn.Module):
    """D2 blocks, each of which sees the maps of all before it; their maps and the input together come out."""

    def __init__(self, layers: LayerChoice, inputs: int, size: D3NetSize) -> None:
        super().__init__()
        grown = int(COMPRESSION_FACTOR * size.growth * SLICES)
        self.blocks = nn.ModuleList(
            d2_block(layers, inputs + number * grown, size.growth, grown) for number in range(size.blocks)
        )
        self.width = inputs + size.blocks * grown

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, width, H, W)."""
        for block in self.blocks:
            x = torch.cat([x, block(x)], 1)
        return x


class Features(nn.Module):
    """The stem and four stages; the maps of a stage are a half, a quarter, an eighth as large as the first one's."""

    def __init__(self, layers: LayerChoice, in_chans: int, size: D3NetSize) -> None:
        super().__init__()
        first, second = (
            nn.Conv2d(width, STEM_WIDTH, 3, 2, 1, bias=layers.needs_bias) for width in (in_chans, STEM_WIDTH)
        )
        self.stem = nn.Sequential(conv_then_act(layers, first), second)
        self.stages, self.outputs, self.between = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        width = STEM_WIDTH
        for outputs in size.outputs:
            if len(self.stages):
                halved = act_then_conv(layers, nn.Conv2d(width, width // 2, 1, bias=layers.needs_bias))
                self.between.append(nn.Sequential(halved, nn.AvgPool2d(2)))
                width //= 2
            stage = D3Block(layers, width, size)
            self.stages.append(stage)
            width = stage.width
            self.outputs.append(conv_then_act(layers, nn.Conv2d(width, outputs, 1)))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map images (N, C, H, W) to the maps of each stage, (N, outputs, H / 4, W / 4) first, H / 32 last."""
        x, found = self.stem(x), []
        for number, (stage, output) in enumerate(zip(self.stages, self.outputs, strict=True)):
            x = stage(self.between[number - 1](x) if number else x)
            found.append(output(x))
        return found


class Pixels(nn.Module):
    """The paper's network: a class for every pixel."""

    def __init__(self, layers: LayerChoice, in_chans: int, num_classes: int, size: D3NetSize) -> None:
        super().__init__()
        width = sum(size.outputs)
        self.features = Features(layers, in_chans, size)
        self.mix = conv_then_act(layers, nn.Conv2d(width, width, 1, bias=layers.needs_bias))
        self.classify = nn.Conv2d(width, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, classes, H, W)."""
        first, *others = self.features(x)
        maps = [first, *(_upsample_like(one, first) for one in others)]
        return _upsample_like(self.classify(self.mix(torch.cat(maps, 1))), x)


class Images(nn.Module):
    """A class for every image: the means of all stages' maps, and a linear layer."""

    def __init__(self, layers: LayerChoice, in_chans: int, num_classes: int, size: D3NetSize) -> None:
        super().__init__()
        self.features = Features(layers, in_chans, size)
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(sum(size.outputs), num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        return self.fc(torch.cat([self.pool(maps) for maps in self.features(x)], 1).flatten(1))  # type: ignore[no-any-return]


def d3net(name: str, in_chans: int, num_classes: int, img_size: int, head: str = "images", **chosen: Any) -> nn.Module:
    """D3Net-S or -L: with the head for pixels 9,685,699 and 38,726,117 parameters at 19 classes.

    98,360,688,640 and 374,807,199,744 MACs at 3x512x1024. `head` is "pixels" (the paper's, for semantic segmentation)
    or "images" (a classifier on the same features).

    Raises:
        UserError: images smaller than 29 pixels.
    """
    check_min_image_size(name, 29, img_size)
    made = (Pixels if head == "pixels" else Images)(LayerChoice(**chosen), in_chans, num_classes, SIZES[name])
    for module in made.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return made


def _upsample_like(maps: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(maps, like.shape[-2:], mode="bilinear", align_corners=False)


SUPPORTED_LAYERS: dict[str, ArgumentRule] = {
    "activation": one_of(*(name for name in ACTIVATION_NAMES if name != "maxout")),
    "norm": LAYER_RULES["norm"],
    "dropout": LAYER_RULES["dropout"],
}
BUILDERS = {
    name: Builder(partial(d3net, name), {"head": one_of("images", "pixels")}, SUPPORTED_LAYERS) for name in SIZES
}
