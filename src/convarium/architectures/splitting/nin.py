"""Network in Network (Lin, Chen and Yan, ICLR 2014): convolutions followed by 1x1 convolutions, no linear layer."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from convarium.architectures.blocks.layers import LAYER_RULES, LayerChoice
from convarium.architectures.builder import Builder
from convarium.architectures.image_sizes import check_min_image_size


@dataclass(frozen=True)
class Mlpconv:
    """A convolution and two 1x1 convolutions; a width of 0 stands for the number of classes."""

    widths: tuple[int, int, int]
    kernel: int
    stride: int = 1
    padding: int = 0


CIFAR_BLOCKS = (
    Mlpconv((192, 160, 96), 5, 1, 2),
    Mlpconv((192, 192, 192), 5, 1, 2),
    Mlpconv((192, 192, 0), 3, 1, 1),
)
IMAGENET_BLOCKS = (
    Mlpconv((96, 96, 96), 11, 4),
    Mlpconv((256, 256, 256), 5, 1, 2),
    Mlpconv((384, 384, 384), 3, 1, 1),
    Mlpconv((1024, 1024, 0), 3, 1, 1),
)
PoolBuilder = Callable[[], nn.Module]


def nin_cifar(in_chans: int, num_classes: int, img_size: int, **layers: Any) -> nn.Module:
    """NiN for CIFAR-10, with dropout after both poolings; 966,986 parameters, 222,486,528 MACs at 3x32x32x10.

    As in section 4 of the paper and the released configuration; takes images of any size.
    """
    pools = (partial(nn.MaxPool2d, 3, 2, 1), partial(nn.AvgPool2d, 3, 2, 1))
    chosen = LayerChoice(**{"dropout": 0.5, **layers})
    return _build_nin(CIFAR_BLOCKS, pools, (0, 1), in_chans, num_classes, chosen)


def nin_imagenet(in_chans: int, num_classes: int, img_size: int, **layers: Any) -> nn.Module:
    """NiN for ImageNet as in the released configuration, dropout before its last block; 7,595,176 parameters.

    969,460,864 MACs at 3x224x224x1000.

    Raises:
        UserError: images smaller than 67 pixels.
    """
    check_min_image_size("nin_imagenet", 67, img_size)
    pools = (partial(nn.MaxPool2d, 3, 2),) * 3
    chosen = LayerChoice(**{"dropout": 0.5, **layers})
    return _build_nin(IMAGENET_BLOCKS, pools, (2,), in_chans, num_classes, chosen)


def _build_nin(
    blocks: Sequence[Mlpconv],
    pools: Sequence[PoolBuilder],
    pools_with_dropout: Sequence[int],
    in_chans: int,
    num_classes: int,
    layers: LayerChoice,
) -> nn.Module:
    """Build blocks with a pooling between each two; `pools_with_dropout` are indices of `pools`."""
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    channels = in_chans
    for number, block in enumerate(blocks):
        modules[f"block{number + 1}"] = _build_block(block, channels, num_classes, layers)
        channels = block.widths[-1]
        if number < len(pools):
            modules[f"pool{number + 1}"] = pools[number]()
            modules[f"dropout{number + 1}"] = layers.drop() if number in pools_with_dropout else nn.Identity()
    modules["pool"] = nn.AdaptiveAvgPool2d(1)
    modules["flatten"] = nn.Flatten()
    network = nn.Sequential(modules)
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)
    return network


def _build_block(block: Mlpconv, inputs: int, num_classes: int, layers: LayerChoice) -> nn.Module:
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    for number, width in enumerate(block.widths, start=1):
        outputs = width or num_classes
        shape = (block.kernel, block.stride, block.padding) if number == 1 else (1, 1, 0)
        modules[f"conv{number}"] = nn.Conv2d(inputs, layers.pieces * outputs, *shape)
        modules[f"act{number}"] = layers.act(outputs)
        inputs = outputs
    return nn.Sequential(modules)


SUPPORTED_LAYERS = {key: LAYER_RULES[key] for key in ("activation", "dropout")}
BUILDERS = {
    "nin_cifar": Builder(nin_cifar, {}, SUPPORTED_LAYERS),
    "nin_imagenet": Builder(nin_imagenet, {}, SUPPORTED_LAYERS),
}
