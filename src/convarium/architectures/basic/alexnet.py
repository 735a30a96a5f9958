"""AlexNet (2012) and ZFNet: convolutions that quickly shrink the image, then three large linear layers."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from convarium.architectures.blocks.layers import LAYER_RULES, LayerChoice
from convarium.architectures.blocks.norms import build_norm
from convarium.architectures.blocks.pooling import POOLING_NAMES, build_pool
from convarium.architectures.builder import Builder, one_of
from convarium.architectures.image_sizes import check_min_image_size

POOL_KERNEL, POOL_STRIDE = 3, 2


@dataclass(frozen=True)
class ConvSpec:
    """A convolution and the layers after its activation.

    Attributes:
        groups: of the convolution; AlexNet has two where the paper splits the channels between two GPUs.
        next_layers: "norm", "pool" or both, in their order.
        pool_padding: pixels around the maps that are pooled.
    """

    width: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    next_layers: tuple[str, ...] = ()
    pool_padding: int = 0

    def compute_output_side(self, side: int) -> int:
        """Return the side of its maps, pooled where they are, for images or maps of `side` pixels."""
        side = (side + 2 * self.padding - self.kernel) // self.stride + 1
        if "pool" in self.next_layers:
            side = (side + 2 * self.pool_padding - POOL_KERNEL) // POOL_STRIDE + 1
        return side


ALEXNET = (
    ConvSpec(96, 11, 4, 2, next_layers=("norm", "pool")),
    ConvSpec(256, 5, 1, 2, 2, next_layers=("norm", "pool")),
    ConvSpec(384, 3, 1, 1),
    ConvSpec(384, 3, 1, 1, 2),
    ConvSpec(256, 3, 1, 1, 2, next_layers=("pool",)),
)
ZFNET = (
    ConvSpec(96, 7, 2, 1, next_layers=("pool", "norm"), pool_padding=1),
    ConvSpec(256, 5, 2, 0, next_layers=("pool", "norm"), pool_padding=1),
    ConvSpec(384, 3, 1, 1),
    ConvSpec(384, 3, 1, 1),
    ConvSpec(256, 3, 1, 1, next_layers=("pool",)),
)

DEFAULT_LAYERS = {"norm": "local_response", "pooling": "max", "dropout": 0.5}


def alexnet_2012(in_chans: int, num_classes: int, img_size: int, **layers: Any) -> nn.Module:
    """AlexNet with its two groups, local response normalisation and overlapping pooling.

    Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", 2012, section
    3.5; 60,965,224 parameters and 724,406,816 MACs at 3x224x224x1000. The first linear layer follows the size of the
    images. Weights start with a standard deviation of 0.01; biases with 1 in the second, fourth and fifth convolution
    and the hidden linear layers, with 0 elsewhere, as in section 5.

    Raises:
        UserError: images smaller than 63 pixels.
    """
    check_min_image_size("alexnet_2012", 63, img_size)
    chosen = LayerChoice(**{**DEFAULT_LAYERS, **layers})
    network = _build_alexnet(ALEXNET, in_chans, num_classes, img_size, chosen)
    _initialise_weights(network, layers_with_bias_one=("conv2", "conv4", "conv5", "fc1", "fc2"))
    return network


def zfnet(in_chans: int, num_classes: int, img_size: int, **layers: Any) -> nn.Module:
    """ZFNet: AlexNet with 7x7 kernels and stride 2 in front, without groups.

    Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014, figure 3; 62,357,608 parameters and
    1,168,032,896 MACs at 3x224x224x1000. Weights start with a standard deviation of 0.01, biases with 0
    (section 3).

    Raises:
        UserError: images smaller than 53 pixels.
    """
    check_min_image_size("zfnet", 53, img_size)
    chosen = LayerChoice(**{**DEFAULT_LAYERS, **layers})
    network = _build_alexnet(ZFNET, in_chans, num_classes, img_size, chosen)
    _initialise_weights(network)
    return network


def _build_alexnet(
    convolutions: Sequence[ConvSpec], in_chans: int, num_classes: int, img_size: int, layers: LayerChoice
) -> nn.Sequential:
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    channels, side = in_chans, img_size
    for number, spec in enumerate(convolutions, start=1):
        maps = layers.pieces * spec.width
        modules[f"conv{number}"] = nn.Conv2d(channels, maps, spec.kernel, spec.stride, spec.padding, groups=spec.groups)
        modules[f"act{number}"] = layers.act(spec.width)
        for next_layer in spec.next_layers:
            if next_layer == "pool":
                pool = build_pool(layers.pooling, spec.width, POOL_KERNEL, POOL_STRIDE, spec.pool_padding)
                modules[f"pool{number}"] = pool
            else:
                modules[f"norm{number}"] = build_norm(layers.norm, spec.width)
        channels, side = spec.width, spec.compute_output_side(side)
    return nn.Sequential(modules | _build_classifier(channels * side * side, num_classes, layers))


def _initialise_weights(network: nn.Module, layers_with_bias_one: Sequence[str] = ()) -> None:
    """Draw the weights of convolutions and linear layers from a normal of 0.01; their biases are 0 or 1."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.normal_(module.weight, std=0.01)
            nn.init.constant_(module.bias, 1.0 if name in layers_with_bias_one else 0.0)


def _build_classifier(inputs: int, num_classes: int, layers: LayerChoice) -> OrderedDict[str, nn.Module]:
    return OrderedDict(
        flatten=nn.Flatten(),
        dropout1=layers.drop(),
        fc1=nn.Linear(inputs, layers.pieces * 4096),
        act6=layers.act(4096),
        dropout2=layers.drop(),
        fc2=nn.Linear(4096, layers.pieces * 4096),
        act7=layers.act(4096),
        fc3=nn.Linear(4096, num_classes),
    )


SUPPORTED_LAYERS = {**LAYER_RULES, "pooling": one_of(*POOLING_NAMES)}
BUILDERS = {"alexnet_2012": Builder(alexnet_2012, {}, SUPPORTED_LAYERS), "zfnet": Builder(zfnet, {}, SUPPORTED_LAYERS)}
