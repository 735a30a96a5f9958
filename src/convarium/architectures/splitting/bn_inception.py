"""BN-Inception (Inception v2): Ioffe and Szegedy, "Batch normalization", ICML 2015, figure 5."""

from collections import OrderedDict
from typing import Any, NamedTuple

from torch import nn

from convarium.architectures.blocks import pooling
from convarium.architectures.blocks.inception import Column, ConvUnit, Inception
from convarium.architectures.blocks.layers import LAYER_RULES, LayerChoice
from convarium.architectures.builder import Builder, int_between
from convarium.architectures.image_sizes import check_min_image_size


class ModuleWidths(NamedTuple):
    """Widths of the columns of a module; one without a 1x1 column halves its maps."""

    single: int
    reduction_3x3: int
    conv_3x3: int
    reduction_double_3x3: int
    double_3x3: int
    pool: str
    projection: int

    @property
    def halves_maps(self) -> bool:
        """Whether the module has stride 2."""
        return self.single == 0


MODULE_WIDTHS = {
    "3a": ModuleWidths(64, 64, 64, 64, 96, "average", 32),
    "3b": ModuleWidths(64, 64, 96, 64, 96, "average", 64),
    "3c": ModuleWidths(0, 128, 160, 64, 96, "max", 0),
    "4a": ModuleWidths(224, 64, 96, 96, 128, "average", 128),
    "4b": ModuleWidths(192, 96, 128, 96, 128, "average", 128),
    "4c": ModuleWidths(160, 128, 160, 128, 160, "average", 96),
    "4d": ModuleWidths(96, 128, 192, 160, 192, "average", 96),
    "4e": ModuleWidths(0, 128, 192, 192, 256, "max", 0),
    "5a": ModuleWidths(352, 192, 320, 160, 224, "average", 128),
    "5b": ModuleWidths(352, 192, 320, 192, 224, "max", 128),
}
# The table says 96 for both, ports of the released Caffe network have 128.
MODULES_WITH_OTHER_PROJECTION = ("4c", "4d")


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
    modules: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=unit(in_chans, 64, 7, 2),
        pool1=nn.MaxPool2d(3, 2, ceil_mode=True),
        conv2=unit(64, 64, 1),
        conv3=unit(64, 192, 3),
        pool2=nn.MaxPool2d(3, 2, ceil_mode=True),
    )
    inputs = 192
    side = (img_size + 1) // 8  # of the maps after the stem
    for name, widths in MODULE_WIDTHS.items():
        if name in MODULES_WITH_OTHER_PROJECTION:
            widths = widths._replace(projection=projection)
        module = Inception(inputs, _list_columns(widths, side), unit)
        modules[f"inception{name}"] = module
        inputs = module.width
        if widths.halves_maps:
            side = (side + 1) // 2
    modules |= {
        "pool": pooling.build_global_pool(chosen.pooling, inputs),
        "flatten": nn.Flatten(),
        "dropout": chosen.drop(),
        "fc": nn.Linear(pooling.count_features(chosen.pooling, inputs), num_classes),
    }
    return nn.Sequential(modules)


def _list_columns(widths: ModuleWidths, side: int) -> list[Column]:
    """List the columns of a module whose input maps are `side` pixels a side."""
    stride = 2 if widths.halves_maps else 1
    double_3x3 = ((widths.reduction_double_3x3, 1), (widths.double_3x3, 3), (widths.double_3x3, 3))
    columns = [
        Column(((widths.reduction_3x3, 1), (widths.conv_3x3, 3)), stride=stride),
        Column(double_3x3, stride=stride),
    ]
    if widths.halves_maps:
        # On an odd side, the padded convolutions leave one pixel more than an unpadded pooling.
        return [*columns, Column((), widths.pool, stride, pool_padding=side % 2)]
    return [Column(((widths.single, 1),)), *columns, Column(((widths.projection, 1),), widths.pool)]


BUILDERS = {"bn_inception": Builder(bn_inception, {"projection": int_between(1, 4096)}, LAYER_RULES)}
