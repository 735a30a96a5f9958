"""Network in Network (Lin, Chen and Yan, ICLR 2014): convolutions followed by 1x1 ones, no linear layer."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from convarium.architectures.blocks.layers import LAYERS, Layers
from convarium.architectures.kwargs import Builder
from convarium.architectures.sizes import at_least


@dataclass(frozen=True)
class Mlpconv:
    """A convolution and two 1x1 ones; the last width 0 is the number of classes."""

    widths: tuple[int, int, int]
    kernel: int
    stride: int = 1
    padding: int = 0


CIFAR = (Mlpconv((192, 160, 96), 5, 1, 2), Mlpconv((192, 192, 192), 5, 1, 2), Mlpconv((192, 192, 0), 3, 1, 1))
IMAGENET = (
    Mlpconv((96, 96, 96), 11, 4),
    Mlpconv((256, 256, 256), 5, 1, 2),
    Mlpconv((384, 384, 384), 3, 1, 1),
    Mlpconv((1024, 1024, 0), 3, 1, 1),
)
Pool = Callable[[], nn.Module]


def nin_cifar(in_chans: int, num_classes: int, img_size: int, **layers: Any) -> nn.Module:
    """NiN for CIFAR-10, dropout behind both poolings; 966,986 parameters, 222,486,528 MACs at 3x32x32x10.

    Section 4 of the paper and its released configuration; takes images of any size.
    """
    pools = (partial(nn.MaxPool2d, 3, 2, 1), partial(nn.AvgPool2d, 3, 2, 1))
    return _network(CIFAR, pools, (0, 1), in_chans, num_classes, Layers(**{"dropout": 0.5, **layers}))


def nin_imagenet(in_chans: int, num_classes: int, img_size: int, **layers: Any) -> nn.Module:
    """NiN for ImageNet, of the released configuration, dropout before its last block; 7,595,176 parameters.

    969,460,864 MACs at 3x224x224x1000.

    Raises:
        UserError: images smaller than 67 pixels.
    """
    at_least("nin_imagenet", 67, img_size)
    pools = (partial(nn.MaxPool2d, 3, 2),) * 3
    return _network(IMAGENET, pools, (2,), in_chans, num_classes, Layers(**{"dropout": 0.5, **layers}))


def _network(
    plan: Sequence[Mlpconv],
    pools: Sequence[Pool],
    dropped: Sequence[int],
    in_chans: int,
    num_classes: int,
    layers: Layers,
) -> nn.Module:
    """Blocks with a pooling between each two; the poolings whose numbers are in `dropped` have dropout behind them."""
    made: OrderedDict[str, nn.Module] = OrderedDict()
    channels = in_chans
    for number, block in enumerate(plan):
        made[f"block{number + 1}"], channels = _block(block, channels, num_classes, layers)
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


def _block(block: Mlpconv, inputs: int, num_classes: int, layers: Layers) -> tuple[nn.Module, int]:
    made: OrderedDict[str, nn.Module] = OrderedDict()
    for number, width in enumerate(block.widths):
        width = width or num_classes
        first = number == 0
        shape = (block.kernel, block.stride, block.padding) if first else (1, 1, 0)
        made[f"conv{number + 1}"] = nn.Conv2d(inputs, layers.pieces * width, *shape)
        made[f"act{number + 1}"] = layers.act(width)
        inputs = width
    return nn.Sequential(made), inputs


TAKES = {key: LAYERS[key] for key in ("activation", "dropout")}
BUILDERS = {"nin_cifar": Builder(nin_cifar, {}, TAKES), "nin_imagenet": Builder(nin_imagenet, {}, TAKES)}
