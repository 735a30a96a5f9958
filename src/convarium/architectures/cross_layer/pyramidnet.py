"""PyramidNets, whose width grows a little at every block (Han et al., "Deep pyramidal residual networks", CVPR 2017).

The review's equation 8, taken literally, never widens where the step is below one channel: the sum is kept as a
fraction and rounded, as its authors do.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from convarium.architectures.blocks.activations import MAXOUT_PIECES, concatenate_maps
from convarium.architectures.blocks.layers import KWARG_RULES, LAYER_RULES, LayerChoice
from convarium.architectures.blocks.stages import BlockBuilder, assemble_network, build_stages
from convarium.architectures.builder import Builder

EXPANSION = 4


class Shortcut(nn.Module):
    """The identity, averaged 2x2 where the stride is 2, with zeros for the channels that are new."""

    def __init__(self, layers: LayerChoice, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(2, 2, ceil_mode=True) if stride == 2 else nn.Identity()
        self.widening, self.activation = outputs - inputs, layers.activation

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, pieces * inputs, H, W) to (N, pieces * outputs, ceil(H / stride), ceil(W / stride))."""
        x = self.pool(x)
        if self.activation != "maxout":
            return functional.pad(x, (0, 0, 0, 0, 0, self.widening))
        return concatenate_maps(
            [x, x.new_zeros(x.shape[0], MAXOUT_PIECES * self.widening, *x.shape[2:])], self.activation
        )


def basic_branch(layers: LayerChoice, inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Two 3x3 convolutions; normalised before, between and behind, activated only between."""
    return nn.Sequential(
        layers.norm_before_act(inputs),
        layers.conv(layers.pieces * inputs, outputs, 3, stride),
        layers.norm_before_act(outputs),
        layers.act(outputs),
        layers.drop(),
        layers.conv(outputs, outputs),
        layers.norm_before_act(outputs),
    )


def bottleneck_branch(layers: LayerChoice, inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """1x1, 3x3 and 1x1 to four times the width; not activated before the first."""
    width = outputs // EXPANSION
    return nn.Sequential(
        layers.norm_before_act(inputs),
        layers.conv(layers.pieces * inputs, width, 1),
        layers.norm_before_act(width),
        layers.act(width),
        layers.conv(width, width, 3, stride),
        layers.norm_before_act(width),
        layers.act(width),
        layers.drop(),
        layers.conv(width, outputs, 1),
        layers.norm_before_act(outputs),
    )


class Residual(nn.Module):
    """One of these beside its shortcut."""

    def __init__(self, inner: BlockBuilder, shortcut: BlockBuilder, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.inner = inner(inputs, outputs, stride)
        self.shortcut = shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, pieces * inputs, H, W) to (N, pieces * outputs, ceil(H / stride), ceil(W / stride))."""
        return self.inner(x) + self.shortcut(x)  # type: ignore[no-any-return]


def list_pyramid_widths(start: int, alpha: int, blocks: Sequence[int], expansion: int) -> list[list[int]]:
    """Return the outputs of each block: block k of all K is round(start + alpha k / K) wide, times the expansion."""
    widths = iter(expansion * round(start + alpha * k / sum(blocks)) for k in range(1, sum(blocks) + 1))
    return [[next(widths) for _ in range(count)] for count in blocks]


def pyramidnet_cifar(
    depth: int, alpha: int, narrow: bool, in_chans: int, num_classes: int, img_size: int, **chosen: Any
) -> nn.Module:
    """PyramidNet of three stages for 32x32 images; `narrow` with bottlenecks.

    110 layers with alpha 48 have 1,772,706 parameters at 3x32x32x10, 164 with bottlenecks and alpha 270 27,216,021
    (what the review's Table 5 gives as an ImageNet network); images of any size.
    """
    layers = LayerChoice(**chosen)
    count = (depth - 2) // (9 if narrow else 6)
    widths = list_pyramid_widths(16, alpha, [count] * 3, EXPANSION if narrow else 1)
    return _assemble_stages(
        layers, {"conv1": layers.conv(in_chans, 16), "bn1": layers.norm_before_act(16)}, 16, widths, narrow, num_classes
    )


def pyramidnet_200_300(in_chans: int, num_classes: int, img_size: int, **chosen: Any) -> nn.Module:
    """PyramidNet-200 with bottlenecks and alpha 300 for ImageNet: 62,367,836 parameters at 3x224x224x1000."""
    layers = LayerChoice(**chosen)
    stem = {
        "conv1": nn.Conv2d(in_chans, 64 * layers.pieces, 7, 2, padding=3, bias=layers.needs_bias),
        "bn1": layers.norm_before_act(64),
        "relu1": layers.act(64),
        "pool1": nn.MaxPool2d(3, 2, padding=1),
    }
    return _assemble_stages(
        layers, stem, 64, list_pyramid_widths(64, 300, (3, 24, 36, 3), EXPANSION), True, num_classes
    )


def _assemble_stages(
    layers: LayerChoice,
    stem: dict[str, nn.Module],
    inputs: int,
    widths: list[list[int]],
    narrow: bool,
    num_classes: int,
) -> nn.Module:
    inner = partial(bottleneck_branch if narrow else basic_branch, layers)
    blocks = build_stages(partial(Residual, inner, partial(Shortcut, layers)), inputs, widths)
    last = widths[-1][-1]
    tail = {"bn": layers.norm_before_act(last), "relu": layers.act(last), **layers.head(last, num_classes)}
    return assemble_network(stem, blocks, tail)


BUILDERS = {
    f"pyramidnet_{depth}_{alpha}": Builder(partial(pyramidnet_cifar, depth, alpha, narrow), KWARG_RULES, LAYER_RULES)
    for depth, alpha, narrow in ((110, 48, False), (110, 270, False), (164, 270, True))
}
BUILDERS["pyramidnet_200_300"] = Builder(pyramidnet_200_300, KWARG_RULES, LAYER_RULES)
