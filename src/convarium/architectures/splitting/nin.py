"""Network in Network (Lin, Chen and Yan, ICLR 2014): convolutions followed by 1x1 ones, no linear layer."""

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
    """A convolution and two 1x1 ones; the last width 0 is the number of classes."""

    widths: tuple[int, int, int]
    kernel: int
    stride: int = 1
    padding: int = 0


CIFAR_BLOCKS = (Mlpconv((192, 160, 96), 5, 1, 2), Mlpconv((192, 192, 192), 5, 1, 2), Mlpconv((192, 192, 0), 3, 1, 1))
IMAGENET_BLOCKS = (
    Mlpconv((96, 96, 96), 11, 4),
    Mlpconv((256, 256, 256), 5, 1, 2),
    Mlpconv((384, 384, 384), 3, 1, 1),
    Mlpconv((1024, 1024, 0), 3, 1, 1),
)
PoolBuilder = Callable[[], nn.Module]


def nin_cifar(in_chans: int, num_classes: int, img_size: int, **layers: Any) -> nn.Module:
    """NiN for CIFAR-10, dropout behind both poolings; 966,986 parameters, 222,486,528 MACs at 3x32x32x10.

    Section 4 of the paper and its released configuration; takes images of any size.
    """
    pools = (partial(nn.MaxPool2d, 3, 2, 1), partial(nn.AvgPool2d, 3, 2, 1))
    return _build_nin(CIFAR_BLOCKS, pools, (0, 1), in_chans, num_classes, LayerChoice(**{"dropout": 0.5, **layers}))


def nin_imagenet(in_chans: int, num_classes: int, img_size: int, **layers: Any) -> nn.Module:
    """NiN for ImageNet, of the released configuration, dropout before its last block; 7,595,176 parameters.

    969,460,864 MACs at 3x224x224x1000.

    Raises:
        UserError: images smaller than 67 pixels.
    """
    check_min_image_size("nin_imagenet", 67, img_size)
    pools = (partial(nn.MaxPool2d, 3, 2),) * 3
    return _build_nin(IMAGENET_BLOCKS, pools, (2,), in_chans, num_classes, LayerChoice(**{"dropout": 0.5, **layers}))


def _build_nin(
    plan: Sequence[Mlpconv],
    pools: Sequence[PoolBuilder],
    dropped: Sequence[int],
    in_chans: int,
    num_classes: int,
    layers: LayerChoice,
) -> nn.Module:
    """Blocks with a pooling between each two; the poolings whose numbers are in `dropped` have dropout behind them."""
    made: OrderedDict[str, nn.Module] = OrderedDict()
    channels = in_chans
    for number, block in enumerate(plan):
        made[f"block{number + 1}"], channels = _build_block(block, channels, num_classes, layers)
        if number < len(pools):
            made[f"pool{number + 1}"] = pools[number]()
            made[f"dropout{number + 1}"] = layers.drop() if number in dropped else nn.Identity()
    made["pool"] = nn.AdaptiveAvgPool2d(1)
    made["flatten"] = nn.Flatten()
    network = nn.Sequential(made)
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)
    return network


def _build_block(block: Mlpconv, inputs: int, num_classes: int, layers: LayerChoice) -> tuple[nn.Module, int]:
    made: OrderedDict[str, nn.Module] = OrderedDict()
    for number, width in enumerate(block.widths):
        width = width or num_classes
        first = number == 0
        shape = (block.kernel, block.stride, block.padding) if first else (1, 1, 0)
        made[f"conv{number + 1}"] = nn.Conv2d(inputs, layers.pieces * width, *shape)
        made[f"act{number + 1}"] = layers.act(width)
        inputs = width
    return nn.Sequential(made), inputs


SUPPORTED_LAYERS = {key: LAYER_RULES[key] for key in ("activation", "dropout")}
BUILDERS = {
    "nin_cifar": Builder(nin_cifar, {}, SUPPORTED_LAYERS),
    "nin_imagenet": Builder(nin_imagenet, {}, SUPPORTED_LAYERS),
}
