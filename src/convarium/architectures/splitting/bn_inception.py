"""BN-Inception (Inception v2): Ioffe and Szegedy, "Batch normalization", ICML 2015, figure 5."""

from collections import OrderedDict
from typing import Any

from torch import nn

from convarium.architectures.blocks import pooling
from convarium.architectures.blocks.inception import Column, ConvUnit, Inception
from convarium.architectures.blocks.layers import LAYER_RULES, LayerChoice
from convarium.architectures.builder import Builder, int_between
from convarium.architectures.image_sizes import check_min_image_size

# Of each module: 1x1, 3x3 reduced and full, double 3x3 reduced and full, the pooling and its projection. A module
# without 1x1 and projection halves the maps.
MODULE_WIDTHS = {
    "3a": (64, 64, 64, 64, 96, "average", 32),
    "3b": (64, 64, 96, 64, 96, "average", 64),
    "3c": (0, 128, 160, 64, 96, "max", 0),
    "4a": (224, 64, 96, 96, 128, "average", 128),
    "4b": (192, 96, 128, 96, 128, "average", 128),
    "4c": (160, 128, 160, 128, 160, "average", 96),
    "4d": (96, 128, 192, 160, 192, "average", 96),
    "4e": (0, 128, 192, 192, 256, "max", 0),
    "5a": (352, 192, 320, 160, 224, "average", 128),
    "5b": (352, 192, 320, 192, 224, "max", 128),
}
MODULES_WITH_OTHER_PROJECTION = ("4c", "4d")  # where the table and the ports of the network differ


def bn_inception(in_chans: int, num_classes: int, img_size: int, projection: int = 96, **layers: Any) -> nn.Module:
    """GoogLeNet with two 3x3 in place of 5x5, batch normalisation behind every convolution, strides within modules.

    11,204,936 parameters and 2,018,851,840 MACs at 3x224x224x1000, convolutions with biases. `projection` is that of
    modules 4c and 4d: 96 in the paper's table, 128 in the networks that were ported from Caffe (11,295,240 parameters).

    Raises:
        UserError: images smaller than 31 pixels.
    """
    check_min_image_size("bn_inception", 31, img_size)
    chosen = LayerChoice(**layers)
    unit = ConvUnit(chosen.activation, chosen.norm)
    made: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=unit(in_chans, 64, 7, 2),
        pool1=nn.MaxPool2d(3, 2, ceil_mode=True),
        conv2=unit(64, 64, 1),
        conv3=unit(64, 192, 3),
        pool2=nn.MaxPool2d(3, 2, ceil_mode=True),
    )
    inputs = 192
    for name, (one, reduced, three, less, double, kind, projected) in MODULE_WIDTHS.items():
        projected = projection if name in MODULES_WITH_OTHER_PROJECTION else projected
        module = Inception(inputs, _list_columns(one, reduced, three, less, double, kind, projected), unit)
        made[f"inception{name}"], inputs = module, module.width
    made |= {
        "pool": pooling.build_global_pool(chosen.pooling, inputs),
        "flatten": nn.Flatten(),
        "dropout": chosen.drop(),
        "fc": nn.Linear(pooling.count_features(chosen.pooling, inputs), num_classes),
    }
    return nn.Sequential(made)


def _list_columns(
    one: int, reduced: int, three: int, less: int, double: int, kind: str, projected: int
) -> tuple[Column, ...]:
    stride = 1 if one else 2
    columns = (
        Column(((reduced, 1), (three, 3)), stride=stride),
        Column(((less, 1), (double, 3), (double, 3)), stride=stride),
        Column(((projected, 1),) if projected else (), kind, stride),
    )
    return (Column(((one, 1),)), *columns) if one else columns


BUILDERS = {"bn_inception": Builder(bn_inception, {"projection": int_between(1, 4096)}, LAYER_RULES)}
