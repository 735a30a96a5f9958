"""Highway networks, whose gates choose between a layer and its input (Srivastava, Greff & Schmidhuber 2015).

"Training very deep networks", NeurIPS 2015: the fully connected networks of figure 1, the convolutional ones of
tables 1 and 2. Where the width changes, a plain layer takes the place of a highway layer.
"""

from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from math import ceil
from typing import Any

from torch import Tensor, nn

from convarium.architectures.blocks.layers import KWARG_RULES, LAYER_RULES, LayerChoice
from convarium.architectures.blocks.stages import assemble_network, build_stages
from convarium.architectures.builder import ArgumentRule, Builder, int_between, number_between
from convarium.architectures.image_sizes import check_min_image_size

POOL_STRIDE = 2


class Highway(nn.Module):
    """H(x) T(x) + x (1 - T(x)), the paper's equation 3: `transform` is H, the sigmoid of `gate` is T.

    With a very negative bias of the gate, x passes unchanged.
    """

    def __init__(self, transform: nn.Module, gate: nn.Conv2d | nn.Linear) -> None:
        super().__init__()
        self.transform, self.gate, self.sigmoid = transform, gate, nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, …) to the same shape."""
        openness = self.sigmoid(self.gate(x))
        return self.transform(x) * openness + x * (1 - openness)  # type: ignore[no-any-return]


def build_conv_norm_act(layers: LayerChoice, inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    """Build a convolution with its normalisation and activation."""
    return nn.Sequential(layers.conv(inputs, outputs, kernel), layers.norm_before_act(outputs), layers.act(outputs))


def build_block(layers: LayerChoice, inputs: int, outputs: int, stride: int) -> nn.Module:
    """Build a highway layer, or a plain one where the width changes; at stride 2 a max pooling precedes it."""
    layer: nn.Module = build_conv_norm_act(layers, inputs, outputs)
    if inputs == outputs:
        layer = Highway(layer, nn.Conv2d(inputs, inputs, 3, padding=1))
    if stride == 1:
        return layer
    return nn.Sequential(nn.MaxPool2d(3, POOL_STRIDE, ceil_mode=True), layers.drop(), layer)


def highway_mnist(
    name: str, width: int, in_chans: int, num_classes: int, img_size: int, gate_bias: float = -1.0, **chosen: Any
) -> nn.Module:
    """The network of table 1: an unpadded 5x5 convolution, then 2, 3 and 3 highway layers, a max pooling after each.

    38,986 parameters with 16 maps and 151,690 with 32 at 1x28x28x10.

    Raises:
        UserError: images smaller than 8 pixels.
    """
    check_min_image_size(name, 8, img_size)
    layers = LayerChoice(**{"norm": "none", **chosen})
    first = nn.Conv2d(in_chans, layers.pieces * width, 5, bias=layers.needs_bias)
    stem = {"conv1": first, "norm1": layers.norm_before_act(width), "act1": layers.act(width)}
    tail = {
        "pool": nn.MaxPool2d(2, POOL_STRIDE, ceil_mode=True),
        "drop": layers.drop(),
        "flatten": nn.Flatten(),
        "fc": nn.Linear(width * _compute_last_side(img_size) ** 2, num_classes),
    }
    widths = [[width] * count for count in (2, 3, 3)]
    blocks = build_stages(partial(build_block, layers), width, widths)
    return _set_gate_bias(assemble_network(stem, blocks, tail), gate_bias)


def highway_cifar(in_chans: int, num_classes: int, img_size: int, gate_bias: float = -2.0, **chosen: Any) -> nn.Module:
    """Highway 19 of table 2: 32, 80 and 128 maps with 4, 5 and 5 highway layers, a 1x1 convolution to 100 maps.

    2,256,838 parameters at 3x32x32x10.

    Raises:
        UserError: images smaller than 4 pixels.
    """
    check_min_image_size("highway_cifar", 4, img_size)
    layers = LayerChoice(**{"norm": "none", **chosen})
    # The first of six widths belongs to the plain layer that changes it.
    blocks = build_stages(partial(build_block, layers), 32, [[32] * 4, [80] * 6, [128] * 6])
    parts: tuple[Mapping[str, nn.Module], ...] = (
        {"first": build_conv_norm_act(layers, in_chans, 32)},
        blocks,
        {"last": build_conv_norm_act(layers, 128, 100, 1)},
        layers.head(100, num_classes),
    )
    return _set_gate_bias(assemble_network(*parts), gate_bias)


def highway_mnist_fc(
    in_chans: int,
    num_classes: int,
    img_size: int,
    depth: int = 50,
    width: int = 50,
    gate_bias: float = -3.0,
    **chosen: Any,
) -> nn.Module:
    """The fully connected network of figure 1: a plain layer, depth - 2 highway layers, the classifier.

    284,560 parameters at 1x28x28x10.

    Args:
        depth: number of layers, including the first and the last.
        width: units of each layer.
        gate_bias: initial bias of the gates; at -1 fifty layers hardly learn MNIST.
        chosen: activation and dropout.
    """
    layers = LayerChoice(**chosen)
    modules: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    modules["first"] = _build_linear_act(layers, in_chans * img_size**2, width)
    for number in range(2, depth):
        modules[f"highway{number}"] = Highway(_build_linear_act(layers, width, width), nn.Linear(width, width))
    modules |= {"drop": layers.drop(), "fc": nn.Linear(width, num_classes)}
    return _set_gate_bias(nn.Sequential(modules), gate_bias)


def _build_linear_act(layers: LayerChoice, inputs: int, outputs: int) -> nn.Sequential:
    """Build a linear layer, its weights drawn as He et al. 2015 for ReLU, and its activation."""
    linear = nn.Linear(inputs, layers.pieces * outputs)
    nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
    nn.init.zeros_(linear.bias)
    return nn.Sequential(linear, layers.act(outputs))


def _set_gate_bias(network: nn.Sequential, gate_bias: float) -> nn.Module:
    """Set the initial bias of all gates; a negative one carries more than it transforms."""
    for module in network.modules():
        if isinstance(module, Highway):
            nn.init.constant_(module.get_parameter("gate.bias"), gate_bias)
    return network


def _compute_last_side(img_size: int) -> int:
    """Return the side of the last maps of `highway_mnist`, whose poolings round up."""
    side = img_size - 4
    for kernel in (3, 3, 2):
        side = ceil((side - kernel) / POOL_STRIDE) + 1
    return side


GATE_RULES: Mapping[str, ArgumentRule] = {"gate_bias": number_between(-20, 20)}
MNIST_RULES = {"convolution": KWARG_RULES["convolution"], **GATE_RULES}
MNIST_LAYERS = {key: LAYER_RULES[key] for key in ("activation", "norm", "dropout")}
FC_RULES = {"depth": int_between(2, 1000), "width": int_between(1, 4096), **GATE_RULES}
FC_LAYERS = {key: LAYER_RULES[key] for key in ("activation", "dropout")}
BUILDERS = {
    "highway_mnist": Builder(partial(highway_mnist, "highway_mnist", 16), MNIST_RULES, MNIST_LAYERS),
    "highway_mnist_32": Builder(partial(highway_mnist, "highway_mnist_32", 32), MNIST_RULES, MNIST_LAYERS),
    "highway_cifar": Builder(highway_cifar, {**KWARG_RULES, **GATE_RULES}, LAYER_RULES),
    "highway_mnist_fc": Builder(highway_mnist_fc, FC_RULES, FC_LAYERS),
}
