"""DenseNets, whose layers see the maps of all layers before them (Huang et al., CVPR 2017)."""

from functools import partial
from itertools import accumulate
from typing import Any

from torch import Tensor, nn

from convarium.architectures.blocks.activations import concatenate_maps
from convarium.architectures.blocks.layers import KWARG_RULES, LAYER_RULES, LayerChoice
from convarium.architectures.blocks.stages import assemble_network, build_stages
from convarium.architectures.builder import Builder
from convarium.architectures.image_sizes import check_min_image_size

BOTTLENECK_FACTOR = 4
BC_VARIANTS = {"densenet_bc_100": (100, 12), "densenet_bc_250_24": (250, 24), "densenet_bc_190_40": (190, 40)}


class DenseLayer(nn.Module):
    """Normalisation, activation, 3x3 convolution to `growth` new maps, which go behind the old ones.

    With `narrow` a 1x1 convolution to four times as many maps comes first. Maxout has the pieces of every channel.
    """

    def __init__(self, layers: LayerChoice, narrow: bool, inputs: int, growth: int) -> None:
        super().__init__()
        width = BOTTLENECK_FACTOR * growth if narrow else inputs
        first = [layers.norm_before_act(inputs), layers.act(inputs)]
        if narrow:
            first += [layers.conv(inputs, width, 1), layers.drop(), layers.norm_before_act(width), layers.act(width)]
        self.inner = nn.Sequential(*first, layers.conv(width, growth), layers.drop())
        self.activation = layers.activation

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, pieces * inputs, H, W) to (N, pieces * (inputs + growth), H, W)."""
        return concatenate_maps([x, self.inner(x)], self.activation)


def dense_or_transition(layers: LayerChoice, narrow: bool, inputs: int, outputs: int, stride: int) -> nn.Module:
    """A dense layer, or at stride 2 a transition: a 1x1 convolution and a 2x2 average."""
    if stride == 1:
        return DenseLayer(layers, narrow, inputs, outputs - inputs)
    before = layers.norm_before_act(inputs), layers.act(inputs), layers.conv(inputs, outputs, 1)
    return nn.Sequential(*before, layers.drop(), nn.AvgPool2d(2))


def list_block_widths(start: int, growth: int, count: int, reduction: float) -> list[list[int]]:
    """Return the outputs of each block of three stages; a transition leaves `reduction` of the maps."""
    made = [list(accumulate([start, *[growth] * count]))[1:]]
    for _ in range(2):
        made.append(list(accumulate([int(made[-1][-1] * reduction), *[growth] * count])))
    return made


def densenet_cifar(
    depth: int, growth: int, compressed: bool, in_chans: int, num_classes: int, img_size: int, **chosen: Any
) -> nn.Module:
    """DenseNet of three dense blocks for 32x32 images; `compressed` is the BC form, with bottlenecks and halving.

    BC of 100 layers and growth 12 has 769,162 parameters at 3x32x32x10, the plain one of 40 layers 1,019,722.

    Raises:
        UserError: images smaller than 4 pixels.
    """
    check_min_image_size(f"densenet{'_bc' * compressed}_{depth}_{growth}", 4, img_size)
    layers = LayerChoice(**chosen)
    start = 2 * growth if compressed else 16
    outputs = list_block_widths(start, growth, (depth - 4) // (6 if compressed else 3), 0.5 if compressed else 1.0)
    last = outputs[-1][-1]
    blocks = build_stages(partial(dense_or_transition, layers, compressed), start, outputs)
    tail = {"bn": layers.norm_before_act(last), "relu": layers.act(last), **layers.head(last, num_classes)}
    return assemble_network({"conv1": layers.conv(in_chans, start)}, blocks, tail)


def densenet264(in_chans: int, num_classes: int, img_size: int) -> nn.Module:
    """DenseNet-264 of the paper's Table 1 from torchvision's class; 33,337,704 parameters at 3x224x224x1000.

    The review's 27.21M is a net whose last block has 32 layers, not 48; timm's densenet264d is another one.

    Raises:
        UserError: images smaller than 29 pixels.
    """
    from torchvision.models import DenseNet

    check_min_image_size("densenet264", 29, img_size)
    made: nn.Module = DenseNet(32, (6, 12, 64, 48), 64, num_classes=num_classes)
    if in_chans != 3:
        made.get_submodule("features").conv0 = nn.Conv2d(in_chans, 64, 7, 2, padding=3, bias=False)
        nn.init.kaiming_normal_(made.get_submodule("features.conv0").weight)  # type: ignore[arg-type]
    return made


BUILDERS = {
    name: Builder(partial(densenet_cifar, depth, growth, True), KWARG_RULES, LAYER_RULES)
    for name, (depth, growth) in BC_VARIANTS.items()
}
BUILDERS["densenet_40_12"] = Builder(partial(densenet_cifar, 40, 12, False), KWARG_RULES, LAYER_RULES)
BUILDERS["densenet264"] = Builder(densenet264, {})
