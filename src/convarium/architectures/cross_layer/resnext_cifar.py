"""ResNeXt-29 for 32x32 images (Xie et al., "Aggregated residual transformations", CVPR 2017, section 5.3)."""

from functools import partial
from typing import Any

from torch import Tensor, nn

from convarium.architectures.blocks.activations import repeat_for_pieces
from convarium.architectures.blocks.layers import KWARG_RULES, LAYER_RULES, LayerChoice
from convarium.architectures.blocks.stages import assemble_network, build_stages
from convarium.architectures.builder import Builder

BASE_WIDTH = 64
CARDINALITIES = (8, 16)


class ResNeXtBlock(nn.Module):
    """1x1, grouped 3x3, 1x1; the shortcut is a projection if the width or the stride changes, or the identity.

    Each of the `cardinality` groups has BASE_WIDTH channels in a block of 256 outputs, twice as many in one of 512, …
    """

    def __init__(self, cardinality: int, layers: LayerChoice, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        width = cardinality * BASE_WIDTH * outputs // 256
        self.conv1 = layers.conv(inputs, width, 1)
        self.bn1 = layers.norm_before_act(width)
        self.relu1 = layers.act(width)
        self.conv2 = layers.conv(width, width, 3, stride, groups=cardinality)
        self.bn2 = layers.norm_before_act(width)
        self.relu2 = layers.act(width)
        self.drop = layers.drop()
        self.conv3 = layers.conv(width, outputs, 1)
        self.bn3 = layers.norm_before_act(outputs)
        self.projection = self.bn4 = None
        if stride != 1 or inputs != outputs:
            self.projection = nn.Conv2d(inputs, outputs, 1, stride, bias=layers.needs_bias)
            self.bn4 = layers.plain_norm(outputs)
        self.relu3 = layers.act(outputs)
        self.activation = layers.activation

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, ceil(H / stride), ceil(W / stride))."""
        inner = self.relu2(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))))
        inner = self.bn3(self.conv3(self.drop(inner)))
        shortcut = x if self.projection is None or self.bn4 is None else self.bn4(self.projection(x))
        return self.relu3(inner + repeat_for_pieces(shortcut, self.activation))  # type: ignore[no-any-return]


def resnext29(cardinality: int, in_chans: int, num_classes: int, img_size: int, **chosen: Any) -> nn.Module:
    """ResNeXt-29 of `cardinality` x 64d: a 3x3 stem of 64, three stages of 3 blocks with 256, 512 and 1024 channels.

    8x64d has 34,426,698 parameters at 3x32x32x10, 16x64d 68,155,210; images of any size.
    """
    layers = LayerChoice(**chosen)
    stem = {"conv1": layers.conv(in_chans, 64), "bn1": layers.norm_before_act(64), "relu": layers.act(64)}
    widths = [[width] * 3 for width in (256, 512, 1024)]
    blocks = build_stages(partial(ResNeXtBlock, cardinality, layers), 64, widths)
    return assemble_network(stem, blocks, layers.head(1024, num_classes))


BUILDERS = {
    f"resnext29_{cardinality}x64d": Builder(partial(resnext29, cardinality), KWARG_RULES, LAYER_RULES)
    for cardinality in CARDINALITIES
}
