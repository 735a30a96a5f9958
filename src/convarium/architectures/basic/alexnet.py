"""AlexNet of 2012 and ZFNet: convolutions that shrink the image fast, then three large linear layers."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from convarium.architectures.blocks.layers import LAYER_RULES, LayerChoice
from convarium.architectures.blocks.norms import build_norm
from convarium.architectures.blocks.pooling import POOLING_NAMES as POOLINGS
from convarium.architectures.blocks.pooling import build_pool
from convarium.architectures.builder import Builder, one_of
from convarium.architectures.image_sizes import check_min_image_size


@dataclass(frozen=True)
class ConvSpec:
    """A convolution and what follows it.

    Attributes:
        groups: parts of the channels that see only each other (AlexNet's two GPUs).
        after: "norm", "pool" or both, in their order.
        border: pixels around what is pooled.
    """

    width: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    after: tuple[str, ...] = ()
    border: int = 0

    def find_output_side(self, side: int) -> int:
        """Return the side of its maps for images or maps of `side`."""
        side = (side + 2 * self.padding - self.kernel) // self.stride + 1
        return (side + 2 * self.border - 3) // 2 + 1 if "pool" in self.after else side


ALEXNET = (
    ConvSpec(96, 11, 4, 2, after=("norm", "pool")),
    ConvSpec(256, 5, 1, 2, 2, after=("norm", "pool")),
    ConvSpec(384, 3, 1, 1),
    ConvSpec(384, 3, 1, 1, 2),
    ConvSpec(256, 3, 1, 1, 2, after=("pool",)),
)
ZFNET = (
    ConvSpec(96, 7, 2, 1, after=("pool", "norm"), border=1),
    ConvSpec(256, 5, 2, 0, after=("pool", "norm"), border=1),
    ConvSpec(384, 3, 1, 1),
    ConvSpec(384, 3, 1, 1),
    ConvSpec(256, 3, 1, 1, after=("pool",)),
)

DEFAULT_LAYERS = {"norm": "local_response", "pooling": "max", "dropout": 0.5}


def alexnet_2012(in_chans: int, num_classes: int, img_size: int, **layers: Any) -> nn.Module:
    """AlexNet with its two groups, local response normalisation and overlapping pooling.

    Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", 2012, section
    3.5; 60,965,224 parameters and 724,406,816 MACs at 3x224x224x1000. The first linear layer follows the size of the
    images. Weights begin with a standard deviation of 0.01, the biases that feed ReLUs from the second convolution on
    (but the third) with 1, as in section 5.

    Raises:
        UserError: images smaller than 63 pixels.
    """
    check_min_image_size("alexnet_2012", 63, img_size)
    network = _build_alexnet(ALEXNET, in_chans, num_classes, img_size, LayerChoice(**{**DEFAULT_LAYERS, **layers}))
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.normal_(module.weight, std=0.01)
            nn.init.constant_(module.bias, float(name in ("conv2", "conv4", "conv5", "fc1", "fc2")))
    return network


def zfnet(in_chans: int, num_classes: int, img_size: int, **layers: Any) -> nn.Module:
    """ZFNet: AlexNet with 7x7 kernels and stride 2 in front, without groups.

    Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014, figure 3; 62,357,608 parameters and
    1,168,032,896 MACs at 3x224x224x1000. Weights begin with a standard deviation of 0.01 and biases with 0 (section 3).

    Raises:
        UserError: images smaller than 53 pixels.
    """
    check_min_image_size("zfnet", 53, img_size)
    network = _build_alexnet(ZFNET, in_chans, num_classes, img_size, LayerChoice(**{**DEFAULT_LAYERS, **layers}))
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)
    return network


def _build_alexnet(
    plan: Sequence[ConvSpec], in_chans: int, num_classes: int, img_size: int, layers: LayerChoice
) -> nn.Sequential:
    made: OrderedDict[str, nn.Module] = OrderedDict()
    channels, side = in_chans, img_size
    for number, layer in enumerate(plan, start=1):
        width = layers.pieces * layer.width
        made[f"conv{number}"] = nn.Conv2d(
            channels, width, layer.kernel, layer.stride, layer.padding, groups=layer.groups
        )
        made[f"act{number}"] = layers.act(layer.width)
        for kind in layer.after:
            pooling = kind == "pool"
            made[f"{kind}{number}"] = (
                build_pool(layers.pooling, layer.width, 3, 2, layer.border)
                if pooling
                else build_norm(layers.norm, layer.width)
            )
        channels, side = layer.width, layer.find_output_side(side)
    return nn.Sequential(made | _build_classifier(channels * side * side, num_classes, layers))


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


SUPPORTED_LAYERS = {**LAYER_RULES, "pooling": one_of(*POOLINGS)}
BUILDERS = {"alexnet_2012": Builder(alexnet_2012, {}, SUPPORTED_LAYERS), "zfnet": Builder(zfnet, {}, SUPPORTED_LAYERS)}
