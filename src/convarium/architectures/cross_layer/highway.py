"""Highway networks, whose gates choose between a layer and its input (Srivastava, Greff & Schmidhuber 2015).

"Training very deep networks", NeurIPS 2015: the fully connected ones of figure 1, the convolutional ones of tables 1
and 2. Where the width changes stands a plain layer.
"""

from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from convarium.architectures.blocks.layers import KWARGS, LAYERS, Layers
from convarium.architectures.blocks.stages import network, stages
from convarium.architectures.kwargs import Allowed, Builder, number, whole
from convarium.architectures.sizes import at_least

POOL = 2  # pixels of a window's stride


class Highway(nn.Module):
    """H(x) T(x) + x (1 - T(x)), the paper's equation 3: `transform` is H, the sigmoid of `gate` is T.

    A gate of very negative bias carries x through as it is.
    """

    def __init__(self, transform: nn.Module, gate: nn.Conv2d | nn.Linear) -> None:
        super().__init__()
        self.transform, self.gate, self.sigmoid = transform, gate, nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, …) to the same shape."""
        opened = self.sigmoid(self.gate(x))
        return self.transform(x) * opened + x * (1 - opened)  # type: ignore[no-any-return]


def plain(layers: Layers, inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    """Return a convolution, its normalisation and activation."""
    return nn.Sequential(layers.conv(inputs, outputs, kernel), layers.normed(outputs), layers.act(outputs))


def block(layers: Layers, inputs: int, outputs: int, stride: int) -> nn.Module:
    """A layer, behind a maximum of 3x3 pixels at stride 2; a highway layer where the width stays."""
    if inputs == outputs:
        made: nn.Module = Highway(plain(layers, inputs, outputs), nn.Conv2d(inputs, inputs, 3, padding=1))
    else:
        made = plain(layers, inputs, outputs)
    return made if stride == 1 else nn.Sequential(nn.MaxPool2d(3, POOL, ceil_mode=True), layers.drop(), made)


def highway_mnist(
    name: str, width: int, in_chans: int, num_classes: int, img_size: int, gate_bias: float = -1.0, **chosen: Any
) -> nn.Module:
    """The network of table 1: a 5x5 convolution without border, then 2, 3 and 3 highway layers before a maximum each.

    38,986 parameters with 16 maps and 151,690 with 32 at 1x28x28x10.

    Raises:
        UserError: images smaller than 8 pixels.
    """
    at_least(name, 8, img_size)
    layers = Layers(**{"norm": "none", **chosen})
    first = nn.Conv2d(in_chans, layers.pieces * width, 5, bias=layers.biased)
    stem = {"conv1": first, "norm1": layers.normed(width), "act1": layers.act(width)}
    tail = {
        "pool": nn.MaxPool2d(2, POOL, ceil_mode=True),
        "drop": layers.drop(),
        "flatten": nn.Flatten(),
        "fc": nn.Linear(width * _mnist_side(img_size) ** 2, num_classes),
    }
    blocks = stages(partial(block, layers), width, [[width] * count for count in (2, 3, 3)])
    return _closed(network(stem, blocks, tail), gate_bias)


def highway_cifar(in_chans: int, num_classes: int, img_size: int, gate_bias: float = -2.0, **chosen: Any) -> nn.Module:
    """Highway 19 of table 2: 32, 80 and 128 maps with 4, 5 and 5 highway layers, a 1x1 convolution to 100 maps.

    2,256,838 parameters at 3x32x32x10.

    Raises:
        UserError: images smaller than 4 pixels.
    """
    at_least("highway_cifar", 4, img_size)
    layers = Layers(**{"norm": "none", **chosen})
    blocks = stages(partial(block, layers), 32, [[32] * 4, [80] * 6, [128] * 6])
    parts: tuple[Mapping[str, nn.Module], ...] = (
        {"first": plain(layers, in_chans, 32)},
        blocks,
        {"last": plain(layers, 128, 100, 1)},
        layers.tail(100, num_classes),
    )
    return _closed(network(*parts), gate_bias)


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
        depth: layers, the first and the last among them.
        width: units of each.
        gate_bias: what the gates begin with; at -1 fifty layers hardly learn MNIST.
        chosen: activation and dropout.
    """
    layers = Layers(**chosen)
    made: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    made["first"] = _linear(layers, in_chans * img_size**2, width)
    for layer in range(2, depth):
        made[f"highway{layer}"] = Highway(_linear(layers, width, width), nn.Linear(width, width))
    made |= {"drop": layers.drop(), "fc": nn.Linear(width, num_classes)}
    return _closed(nn.Sequential(made), gate_bias)


def _linear(layers: Layers, inputs: int, outputs: int) -> nn.Sequential:
    """A linear layer, drawn as He et al. 2015 for a rectifier, and its activation."""
    linear = nn.Linear(inputs, layers.pieces * outputs)
    nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
    nn.init.zeros_(linear.bias)
    return nn.Sequential(linear, layers.act(outputs))


def _closed(made: nn.Sequential, gate_bias: float) -> nn.Module:
    """Begin with gates that carry more than they transform."""
    for module in made.modules():
        if isinstance(module, Highway):
            nn.init.constant_(module.get_parameter("gate.bias"), gate_bias)
    return made


def _mnist_side(img_size: int) -> int:
    """Return the side of the last maps: windows may reach beyond the map's end."""
    side = img_size - 4
    for kernel in (3, 3, 2):
        side = max(-(-(side - kernel) // POOL), 0) + 1
    return side


GATES: Mapping[str, Allowed] = {"gate_bias": number(-20, 20)}
CONVOLUTIONAL = {key: LAYERS[key] for key in ("activation", "norm", "dropout")}
BUILDERS = {
    name: Builder(partial(highway_mnist, name, width), {"convolution": KWARGS["convolution"], **GATES}, CONVOLUTIONAL)
    for name, width in {"highway_mnist": 16, "highway_mnist_32": 32}.items()
}
BUILDERS["highway_cifar"] = Builder(highway_cifar, {**KWARGS, **GATES}, LAYERS)
BUILDERS["highway_mnist_fc"] = Builder(
    highway_mnist_fc,
    {"depth": whole(2, 1000), "width": whole(1, 4096), **GATES},
    {key: LAYERS[key] for key in ("activation", "dropout")},
)
