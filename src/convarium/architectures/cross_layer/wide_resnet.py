"""Wide residual networks for 32x32 images (Zagoruyko & Komodakis, BMVC 2016)."""

from functools import partial
from typing import Any

from torch import Tensor, nn

from convarium.architectures.blocks.layers import KWARG_RULES, LAYER_RULES, LayerChoice
from convarium.architectures.blocks.stages import assemble_network, build_stages
from convarium.architectures.builder import Builder

SIZES = ((16, 1), (16, 4), (16, 8), (22, 8), (28, 10), (40, 4))


class PreactivationBlock(nn.Module):
    """Normalisation and activation before each of two 3x3 convolutions; dropout between them.

    The shortcut is the identity or, if the width or the stride changes, a 1x1 convolution of the activated input. Maps
    between blocks go into an activation, so with maxout they are the pieces of every channel.
    """

    def __init__(self, layers: LayerChoice, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = layers.norm_before_act(inputs)
        self.relu1 = layers.act(inputs)
        self.conv1 = layers.conv(inputs, outputs, 3, stride)
        self.bn2 = layers.norm_before_act(outputs)
        self.relu2 = layers.act(outputs)
        self.drop = layers.drop()
        self.conv2 = layers.conv(outputs, outputs)
        self.projection = None
        if stride != 1 or inputs != outputs:
            self.projection = layers.conv(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, pieces * inputs, H, W) to (N, pieces * outputs, ceil(H / stride), ceil(W / stride))."""
        active = self.relu1(self.bn1(x))
        inner = self.conv2(self.drop(self.relu2(self.bn2(self.conv1(active)))))
        shortcut = x if self.projection is None else self.projection(active)
        return inner + shortcut  # type: ignore[no-any-return]


def wide_resnet(depth: int, width: int, in_chans: int, num_classes: int, img_size: int, **chosen: Any) -> nn.Module:
    """WRN-`depth`-`width`: three stages of (depth - 4) / 6 blocks with 16, 32 and 64 times `width` channels.

    WRN-28-10 has 36,479,194 parameters at 3x32x32x10, WRN-16-1 175,066; images of any size.
    """
    layers = LayerChoice(**chosen)
    widths = [[channels * width] * ((depth - 4) // 6) for channels in (16, 32, 64)]
    last_width = 64 * width
    blocks = build_stages(partial(PreactivationBlock, layers), 16, widths)
    # Built after the blocks: another order of random draws would give a seed other initial weights.
    stem = {"conv1": layers.conv(in_chans, 16)}
    last_act = {"bn": layers.norm_before_act(last_width), "relu": layers.act(last_width)}
    return assemble_network(stem, blocks, last_act, layers.head(last_width, num_classes))


BUILDERS = {
    f"wrn_{depth}_{width}": Builder(partial(wide_resnet, depth, width), KWARG_RULES, LAYER_RULES)
    for depth, width in SIZES
}
