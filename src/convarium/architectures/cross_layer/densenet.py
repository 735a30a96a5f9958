"""DenseNets, whose layers see the maps of all earlier layers (Huang et al., CVPR 2017)."""

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


class DenseLayer(nn.Module):
    """Normalisation, activation, 3x3 convolution to `growth` new maps, which are appended to the old ones.

    With `narrow`, a 1x1 convolution to four times as many maps comes first. With maxout, maps are pieces of channels.
    """

    def __init__(self, layers: LayerChoice, narrow: bool, inputs: int, growth: int) -> None:
        super().__init__()
        width = BOTTLENECK_FACTOR * growth if narrow else inputs
        modules = [layers.norm_before_act(inputs), layers.act(inputs)]
        if narrow:
            modules += [layers.conv(inputs, width, 1), layers.drop(), layers.norm_before_act(width), layers.act(width)]
        self.inner = nn.Sequential(*modules, layers.conv(width, growth), layers.drop())
        self.activation = layers.activation

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, pieces * inputs, H, W) to (N, pieces * (inputs + growth), H, W)."""
        return concatenate_maps([x, self.inner(x)], self.activation)


def build_layer_or_transition(layers: LayerChoice, narrow: bool, inputs: int, outputs: int, stride: int) -> nn.Module:
    """Build a dense layer, or at stride 2 a transition: a 1x1 convolution and a 2x2 average."""
    if stride == 1:
        return DenseLayer(layers, narrow, inputs, outputs - inputs)
    return nn.Sequential(
        layers.norm_before_act(inputs),
        layers.act(inputs),
        layers.conv(inputs, outputs, 1),
        layers.drop(),
        nn.AvgPool2d(2),
    )


def list_block_widths(start: int, growth: int, count: int, reduction: float) -> list[list[int]]:
    """Return the outputs of each block of three stages; a transition keeps the share `reduction` of the maps.

    The second and third stage begin with the transition.
    """
    growths = [growth] * count
    stages = [list(accumulate(growths, initial=start))[1:]]
    for _ in range(2):
        transition = int(stages[-1][-1] * reduction)
        stages.append(list(accumulate(growths, initial=transition)))
    return stages


def densenet_cifar(
    name: str, depth: int, growth: int, compressed: bool, in_chans: int, num_classes: int, img_size: int, **chosen: Any
) -> nn.Module:
    """DenseNet of three dense blocks for 32x32 images.

    `compressed` is the BC form: bottlenecks in the layers, and transitions that halve the number of maps.
    BC of 100 layers and growth 12 has 769,162 parameters at 3x32x32x10, the plain one of 40 layers 1,019,722.

    Raises:
        UserError: images smaller than 4 pixels.
    """
    check_min_image_size(name, 4, img_size)
    layers = LayerChoice(**chosen)
    if compressed:
        start, count, reduction = 2 * growth, (depth - 4) // 6, 0.5
    else:
        start, count, reduction = 16, (depth - 4) // 3, 1.0
    widths = list_block_widths(start, growth, count, reduction)
    last_width = widths[-1][-1]
    blocks = build_stages(partial(build_layer_or_transition, layers, compressed), start, widths)
    last_act = {"bn": layers.norm_before_act(last_width), "relu": layers.act(last_width)}
    head = layers.head(last_width, num_classes)
    # Built last: another order of random draws would give a seed other initial weights.
    stem = {"conv1": layers.conv(in_chans, start)}
    return assemble_network(stem, blocks, last_act, head)


def densenet264(in_chans: int, num_classes: int, img_size: int) -> nn.Module:
    """DenseNet-264 of the paper's Table 1, built from torchvision's class; 33,337,704 parameters at 3x224x224x1000.

    The review's 27.21M belongs to a network whose last block has 32 layers, not 48; timm's densenet264d is another one.

    Raises:
        UserError: images smaller than 29 pixels.
    """
    from torchvision.models import DenseNet

    check_min_image_size("densenet264", 29, img_size)
    network: nn.Module = DenseNet(32, (6, 12, 64, 48), 64, num_classes=num_classes)
    if in_chans != 3:
        # The class has no argument for channels; drawn as it draws its own convolutions.
        stem = nn.Conv2d(in_chans, 64, 7, 2, padding=3, bias=False)
        nn.init.kaiming_normal_(stem.weight)
        network.get_submodule("features").conv0 = stem
    return network


CIFAR_VARIANTS = {  # depth, growth, whether compressed
    "densenet_40_12": (40, 12, False),
    "densenet_bc_100": (100, 12, True),
    "densenet_bc_190_40": (190, 40, True),
    "densenet_bc_250_24": (250, 24, True),
}
BUILDERS = {
    name: Builder(partial(densenet_cifar, name, depth, growth, compressed), KWARG_RULES, LAYER_RULES)
    for name, (depth, growth, compressed) in CIFAR_VARIANTS.items()
}
BUILDERS["densenet264"] = Builder(densenet264, {})
