"""ResNets with parameter-free shortcuts (He et al., "Deep residual learning", CVPR 2016).

Those of 20 to 110 layers for 32x32 images (section 4.2), and ResNet-10, which the review's Table 5 takes from CSPNet.
"""

from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from convarium.architectures.blocks.activations import repeat_for_pieces
from convarium.architectures.blocks.layers import KWARG_RULES, LAYER_RULES, LayerChoice
from convarium.architectures.blocks.stages import assemble_network, build_stages
from convarium.architectures.builder import Builder

DEPTHS = (20, 32, 44, 56, 110)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a parameter-free shortcut (option A: every second pixel, zeros for new channels)."""

    def __init__(self, layers: LayerChoice, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = layers.conv(inputs, outputs, 3, stride)
        self.bn1 = layers.norm_before_act(outputs)
        self.relu1 = layers.act(outputs)
        self.drop = layers.drop()
        self.conv2 = layers.conv(outputs, outputs)
        self.bn2 = layers.norm_before_act(outputs)
        self.relu2 = layers.act(outputs)
        self.stride, self.widening, self.activation = stride, outputs - inputs, layers.activation

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, ceil(H / stride), ceil(W / stride)).

        The shortcut is added to every piece of a maxout.
        """
        inner = self.bn2(self.conv2(self.drop(self.relu1(self.bn1(self.conv1(x))))))
        shortcut = repeat_for_pieces(self.compute_shortcut(x), self.activation)
        return self.relu2(inner + shortcut)  # type: ignore[no-any-return]

    def compute_shortcut(self, x: Tensor) -> Tensor:
        """Subsample and pad with zero channels, half of them before and half after."""
        if self.stride == 1 and self.widening == 0:
            return x
        pixels = x[:, :, :: self.stride, :: self.stride]
        before = self.widening // 2
        return functional.pad(pixels, (0, 0, 0, 0, before, self.widening - before))


def resnet_cifar(depth: int, in_chans: int, num_classes: int, img_size: int, **chosen: Any) -> nn.Module:
    """ResNet of depth 6n + 2: a 3x3 stem, three stages of n blocks with 16, 32 and 64 channels.

    Depth 20 has 269,722 parameters at 3x32x32x10, depth 110 1,727,962; images of any size.
    """
    layers = LayerChoice(**chosen)
    stem = {"conv1": layers.conv(in_chans, 16), "bn1": layers.norm_before_act(16), "relu": layers.act(16)}
    widths = [[width] * ((depth - 2) // 6) for width in (16, 32, 64)]
    blocks = build_stages(partial(BasicBlock, layers), 16, widths)
    return assemble_network(stem, blocks, layers.head(64, num_classes))


def resnet10(in_chans: int, num_classes: int, img_size: int, **chosen: Any) -> nn.Module:
    """ResNet-10 of CSPNet's comparison: one block a stage, no projections; 5,244,968 parameters at 3x256x256x1000.

    (With projections, as in timm's class, it has 5,418,792.) Images of any size.
    """
    layers = LayerChoice(**chosen)
    stem = {
        "conv1": nn.Conv2d(in_chans, 64 * layers.pieces, 7, 2, padding=3, bias=layers.needs_bias),
        "bn1": layers.norm_before_act(64),
        "relu": layers.act(64),
        "pool1": nn.MaxPool2d(3, 2, padding=1),
    }
    blocks = build_stages(partial(BasicBlock, layers), 64, [[64], [128], [256], [512]])
    return assemble_network(stem, blocks, layers.head(512, num_classes))


BUILDERS = {f"resnet{depth}": Builder(partial(resnet_cifar, depth), KWARG_RULES, LAYER_RULES) for depth in DEPTHS}
BUILDERS["resnet10"] = Builder(resnet10, KWARG_RULES, LAYER_RULES)
