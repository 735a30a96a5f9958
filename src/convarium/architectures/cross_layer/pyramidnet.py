"""PyramidNets, whose width grows a little at every block (Han et al., "Deep pyramidal residual networks", CVPR 2017).

The review's equation 8, taken literally, never widens if the step is below one channel. As in the authors' code, the
width is accumulated as a fraction and rounded for each block.
"""

from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from convarium.architectures.blocks.activations import MAXOUT_PIECES, concatenate_maps
from convarium.architectures.blocks.layers import KWARG_RULES, LAYER_RULES, LayerChoice
from convarium.architectures.blocks.stages import BlockBuilder, assemble_network, build_stages
from convarium.architectures.builder import Builder

EXPANSION = 4


class Shortcut(nn.Module):
    """The identity, with a 2x2 average at stride 2 and zeros for new channels."""

    def __init__(self, layers: LayerChoice, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(2, 2, ceil_mode=True) if stride == 2 else nn.Identity()
        self.widening, self.activation = outputs - inputs, layers.activation

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, pieces * inputs, H, W) to (N, pieces * outputs, ceil(H / stride), ceil(W / stride))."""
        x = self.pool(x)
        if self.activation != "maxout":
            return functional.pad(x, (0, 0, 0, 0, 0, self.widening))
        # Padding the end would give all the zeros to the second pieces.
        zeros = x.new_zeros(x.shape[0], MAXOUT_PIECES * self.widening, *x.shape[2:])
        return concatenate_maps([x, zeros], self.activation)


def build_basic_branch(layers: LayerChoice, inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Build two 3x3 convolutions, normalised before, between and after them, activated only between them."""
    return nn.Sequential(
        layers.norm_before_act(inputs),
        layers.conv(layers.pieces * inputs, outputs, 3, stride),
        layers.norm_before_act(outputs),
        layers.act(outputs),
        layers.drop(),
        layers.conv(outputs, outputs),
        layers.norm_before_act(outputs),
    )


def build_bottleneck_branch(layers: LayerChoice, inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Build a 1x1, a 3x3 and a 1x1 convolution to four times the width; no activation before the first."""
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
    """The sum of a branch and its shortcut."""

    def __init__(
        self, build_branch: BlockBuilder, build_shortcut: BlockBuilder, inputs: int, outputs: int, stride: int
    ) -> None:
        super().__init__()
        self.inner = build_branch(inputs, outputs, stride)
        self.shortcut = build_shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, pieces * inputs, H, W) to (N, pieces * outputs, ceil(H / stride), ceil(W / stride))."""
        return self.inner(x) + self.shortcut(x)  # type: ignore[no-any-return]


def list_pyramid_widths(start: int, alpha: int, blocks: Sequence[int], expansion: int) -> list[list[int]]:
    """Return the outputs of each block of each stage: block k of all K has round(start + alpha k / K) * expansion."""
    total = sum(blocks)
    widths = iter(expansion * round(start + alpha * k / total) for k in range(1, total + 1))
    return [list(islice(widths, count)) for count in blocks]


def pyramidnet_cifar(
    depth: int, alpha: int, narrow: bool, in_chans: int, num_classes: int, img_size: int, **chosen: Any
) -> nn.Module:
    """PyramidNet of three stages for 32x32 images; with `narrow`, of bottleneck blocks.

    110 layers with alpha 48 have 1,772,706 parameters at 3x32x32x10, 164 with bottlenecks and alpha 270 27,216,021
    (what the review's Table 5 gives as an ImageNet network); images of any size.
    """
    layers = LayerChoice(**chosen)
    stem = {"conv1": layers.conv(in_chans, 16), "bn1": layers.norm_before_act(16)}
    blocks_per_stage = (depth - 2) // (9 if narrow else 6)
    widths = list_pyramid_widths(16, alpha, [blocks_per_stage] * 3, EXPANSION if narrow else 1)
    return _assemble_stages(layers, stem, 16, widths, narrow, num_classes)


def pyramidnet_200_300(in_chans: int, num_classes: int, img_size: int, **chosen: Any) -> nn.Module:
    """PyramidNet-200 with bottlenecks and alpha 300 for ImageNet: 62,367,836 parameters at 3x224x224x1000."""
    layers = LayerChoice(**chosen)
    stem = {
        "conv1": nn.Conv2d(in_chans, 64 * layers.pieces, 7, 2, padding=3, bias=layers.needs_bias),
        "bn1": layers.norm_before_act(64),
        "relu1": layers.act(64),
        "pool1": nn.MaxPool2d(3, 2, padding=1),
    }
    widths = list_pyramid_widths(64, 300, (3, 24, 36, 3), EXPANSION)
    return _assemble_stages(layers, stem, 64, widths, True, num_classes)


def _assemble_stages(
    layers: LayerChoice,
    stem: dict[str, nn.Module],
    inputs: int,
    widths: list[list[int]],
    narrow: bool,
    num_classes: int,
) -> nn.Module:
    build_branch = partial(build_bottleneck_branch if narrow else build_basic_branch, layers)
    build_block = partial(Residual, build_branch, partial(Shortcut, layers))
    blocks = build_stages(build_block, inputs, widths)
    last_width = widths[-1][-1]
    last_act = {"bn": layers.norm_before_act(last_width), "relu": layers.act(last_width)}
    return assemble_network(stem, blocks, last_act, layers.head(last_width, num_classes))


CIFAR_VARIANTS = ((110, 48, False), (110, 270, False), (164, 270, True))  # depth, alpha, whether with bottlenecks
BUILDERS = {
    f"pyramidnet_{depth}_{alpha}": Builder(partial(pyramidnet_cifar, depth, alpha, narrow), KWARG_RULES, LAYER_RULES)
    for depth, alpha, narrow in CIFAR_VARIANTS
}
BUILDERS["pyramidnet_200_300"] = Builder(pyramidnet_200_300, KWARG_RULES, LAYER_RULES)
