"""D3Net: dense blocks of dense blocks whose convolutions have several dilations (Takahashi & Mitsufuji, CVPR 2021).

"Densely connected multi-dilated convolutional networks for dense prediction tasks". The widths are those of the
configurations that the authors released; they publish no totals, so the counts are our own.
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
    """The widths and depths of a variant.

    Attributes:
        growth: maps of a slice.
        blocks: D2 blocks in each of the four stages.
        outputs: maps that each stage passes to the head.
    """

    growth: int
    blocks: int
    outputs: Sequence[int]


SIZES = {"d3net_s": D3NetSize(36, 8, (32, 40, 64, 128)), "d3net_l": D3NetSize(64, 10, (32, 48, 96, 192))}


def build_act_conv(layers: LayerChoice, conv: nn.Conv2d) -> nn.Sequential:
    """Put a normalisation and an activation before a convolution."""
    return nn.Sequential(layers.norm_before_act(conv.in_channels), layers.act(conv.in_channels), conv)


def build_conv_act(layers: LayerChoice, conv: nn.Conv2d) -> nn.Sequential:
    """Put a normalisation and an activation after a convolution."""
    return nn.Sequential(conv, layers.norm_before_act(conv.out_channels), layers.act(conv.out_channels))


def build_conv3x3(inputs: int, outputs: int, dilation: int = 1) -> nn.Conv2d:
    """Build a 3x3 convolution that keeps the size of the maps."""
    return nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)


class MultiDilated(nn.Module):
    """The multidilated convolutions of a D2 block, the paper's equation 4 and figure 3.

    A 3x3 convolution outputs slices of `growth` maps. Slice j - 1, once complete, goes through a convolution of
    dilation 2^j, whose maps are added to the slices from j on: none skips pixels that no earlier one has covered.
    """

    def __init__(self, layers: LayerChoice, inputs: int, growth: int, slices: int = SLICES) -> None:
        super().__init__()
        self.first = build_act_conv(layers, build_conv3x3(inputs, growth * slices))
        self.dilated = nn.ModuleList()
        for number in range(1, slices):
            conv = build_conv3x3(growth, growth * (slices - number), dilation=2**number)
            self.dilated.append(build_act_conv(layers, conv))
        self.growth = growth

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, slices * growth, H, W)."""
        remaining, complete = self.first(x), []
        for convolution in self.dilated:
            complete.append(remaining[:, : self.growth])
            remaining = remaining[:, self.growth :] + convolution(complete[-1])
        return torch.cat([*complete, remaining], 1)


def build_d2_block(layers: LayerChoice, inputs: int, growth: int, outputs: int) -> nn.Sequential:
    """Build a D2 block: a 1x1 bottleneck if it is narrower than the input, dilated convolutions, a last 1x1."""
    width = BOTTLENECK_FACTOR * growth
    modules: list[nn.Module] = []
    if inputs > width:
        modules.append(build_act_conv(layers, nn.Conv2d(inputs, width, 1)))
    modules += [MultiDilated(layers, min(inputs, width), growth), layers.drop()]
    last = nn.Conv2d(SLICES * growth, outputs, 1, bias=layers.needs_bias)
    return nn.Sequential(*modules, build_act_conv(layers, last))


class D3Block(nn.Module):
    """D2 blocks, each of which sees the maps of all earlier ones; outputs their maps behind the input."""

    def __init__(self, layers: LayerChoice, inputs: int, size: D3NetSize) -> None:
        super().__init__()
        new_maps = int(COMPRESSION_FACTOR * size.growth * SLICES)
        self.width = inputs
        self.blocks = nn.ModuleList()
        for _ in range(size.blocks):
            self.blocks.append(build_d2_block(layers, self.width, size.growth, new_maps))
            self.width += new_maps

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, width, H, W)."""
        for block in self.blocks:
            x = torch.cat([x, block(x)], 1)
        return x


class D3Backbone(nn.Module):
    """The stem and four stages, each of which halves the maps of the stage before."""

    def __init__(self, layers: LayerChoice, in_chans: int, size: D3NetSize) -> None:
        super().__init__()
        first = nn.Conv2d(in_chans, STEM_WIDTH, 3, 2, 1, bias=layers.needs_bias)
        second = nn.Conv2d(STEM_WIDTH, STEM_WIDTH, 3, 2, 1, bias=layers.needs_bias)
        self.stem = nn.Sequential(build_conv_act(layers, first), second)
        self.stages, self.outputs, self.between = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        width = STEM_WIDTH
        for outputs in size.outputs:
            if len(self.stages) > 0:
                conv = nn.Conv2d(width, width // 2, 1, bias=layers.needs_bias)
                self.between.append(nn.Sequential(build_act_conv(layers, conv), nn.AvgPool2d(2)))
                width //= 2
            stage = D3Block(layers, width, size)
            self.stages.append(stage)
            width = stage.width
            self.outputs.append(build_conv_act(layers, nn.Conv2d(width, outputs, 1)))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map images (N, C, H, W) to the maps of each stage, (N, outputs, H / 4, W / 4) first, H / 32 last."""
        x = self.stem(x)
        stage_maps = []
        for number, (stage, output) in enumerate(zip(self.stages, self.outputs, strict=True)):
            if number > 0:
                x = self.between[number - 1](x)
            x = stage(x)
            stage_maps.append(output(x))
        return stage_maps


class PixelClassifier(nn.Module):
    """The paper's network, which predicts a class for every pixel."""

    def __init__(self, layers: LayerChoice, in_chans: int, num_classes: int, size: D3NetSize) -> None:
        super().__init__()
        width = sum(size.outputs)
        self.features = D3Backbone(layers, in_chans, size)
        self.mix = build_conv_act(layers, nn.Conv2d(width, width, 1, bias=layers.needs_bias))
        self.classify = nn.Conv2d(width, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, classes, H, W)."""
        first, *smaller = self.features(x)
        maps = [first, *(_upsample_like(stage_maps, first) for stage_maps in smaller)]
        logits = self.classify(self.mix(torch.cat(maps, 1)))
        return _upsample_like(logits, x)


class ImageClassifier(nn.Module):
    """A classifier of images: the means of all stages' maps and a linear layer."""

    def __init__(self, layers: LayerChoice, in_chans: int, num_classes: int, size: D3NetSize) -> None:
        super().__init__()
        self.features = D3Backbone(layers, in_chans, size)
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(sum(size.outputs), num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        means = [self.pool(stage_maps) for stage_maps in self.features(x)]
        return self.fc(torch.cat(means, 1).flatten(1))  # type: ignore[no-any-return]


def d3net(name: str, in_chans: int, num_classes: int, img_size: int, head: str = "images", **chosen: Any) -> nn.Module:
    """D3Net-S or -L: 9,685,699 or 38,726,117 parameters with the head for pixels at 19 classes.

    98,360,688,640 or 374,807,199,744 MACs at 3x512x1024. `head` is "pixels" (the paper's, for semantic segmentation)
    or "images" (a classifier on the same features).

    Raises:
        UserError: images smaller than 29 pixels.
    """
    check_min_image_size(name, 29, img_size)
    classifier = PixelClassifier if head == "pixels" else ImageClassifier
    network: nn.Module = classifier(LayerChoice(**chosen), in_chans, num_classes, SIZES[name])
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network


def _upsample_like(maps: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(maps, like.shape[-2:], mode="bilinear", align_corners=False)


ACTIVATIONS_WITHOUT_PIECES = [name for name in ACTIVATION_NAMES if name != "maxout"]
SUPPORTED_LAYERS: dict[str, ArgumentRule] = {
    "activation": one_of(*ACTIVATIONS_WITHOUT_PIECES),
    "norm": LAYER_RULES["norm"],
    "dropout": LAYER_RULES["dropout"],
}
BUILDERS = {
    name: Builder(partial(d3net, name), {"head": one_of("images", "pixels")}, SUPPORTED_LAYERS) for name in SIZES
}
