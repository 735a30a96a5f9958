"""GoogLeNet (Inception v1): Szegedy et al., "Going deeper with convolutions", CVPR 2015, table 1."""

from collections import OrderedDict
from typing import Any, NamedTuple

from torch import Tensor, nn

from convarium.architectures.blocks import norms, pooling
from convarium.architectures.blocks.inception import Column, ConvUnit, Inception
from convarium.architectures.blocks.layers import LAYER_RULES, LayerChoice
from convarium.architectures.builder import ArgumentRule, Builder
from convarium.architectures.image_sizes import check_min_image_size


class ModuleWidths(NamedTuple):
    """Widths of the columns of a module."""

    single: int
    reduction_3x3: int
    conv_3x3: int
    reduction_5x5: int
    conv_5x5: int
    projection: int


MODULE_WIDTHS = {
    "3a": ModuleWidths(64, 96, 128, 16, 32, 32),
    "3b": ModuleWidths(128, 128, 192, 32, 96, 64),
    "4a": ModuleWidths(192, 96, 208, 16, 48, 64),
    "4b": ModuleWidths(160, 112, 224, 24, 64, 64),
    "4c": ModuleWidths(128, 128, 256, 24, 64, 64),
    "4d": ModuleWidths(112, 144, 288, 32, 64, 64),
    "4e": ModuleWidths(256, 160, 320, 32, 128, 128),
    "5a": ModuleWidths(256, 160, 320, 32, 128, 128),
    "5b": ModuleWidths(384, 192, 384, 48, 128, 128),
}
MODULES_WITH_AUXILIARY = ("4a", "4d")  # an auxiliary classifier branches off behind each


class GoogLeNet(nn.Module):
    """A stem, nine modules, the mean of the maps and a linear layer; for training also two auxiliary classifiers.

    Attributes:
        auxiliary_weight: factor of the loss of each auxiliary classifier in training (section 5 of the paper).
    """

    auxiliary_weight = 0.3

    def __init__(
        self,
        in_chans: int,
        num_classes: int,
        img_size: int,
        auxiliary: bool,
        kernel: int,
        last_pool: int,
        layers: LayerChoice,
    ) -> None:
        super().__init__()
        unit = _make_unit(layers)
        self.stem = _build_stem(in_chans, unit, layers.norm == "local_response")
        self.stages = nn.ModuleDict()
        self.heads = nn.ModuleDict()
        inputs = 192
        for name, widths in MODULE_WIDTHS.items():
            if name == "4a":
                self.stages["pool4"] = nn.MaxPool2d(3, 2, ceil_mode=True)
            if name == "5a":
                self.stages["pool5"] = nn.MaxPool2d(last_pool, 2, ceil_mode=True)
            module = Inception(inputs, _list_columns(widths, kernel), unit)
            self.stages[name] = module
            inputs = module.width
            if auxiliary and name in MODULES_WITH_AUXILIARY:
                self.heads[name] = _build_auxiliary_head(inputs, num_classes, (img_size + 1) // 16, unit, layers)
        self.pool = pooling.build_global_pool(layers.pooling, inputs)
        self.dropout = layers.drop()
        self.fc = nn.Linear(pooling.count_features(layers.pooling, inputs), num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        x = self.stem(x)
        for stage in self.stages.values():
            x = stage(x)
        return self.fc(self.dropout(self.pool(x).flatten(1)))  # type: ignore[no-any-return]

    def forward_with_auxiliary(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Map images (N, C, H, W) to logits (N, classes) and those of the auxiliary classifiers."""
        x = self.stem(x)
        auxiliary_logits = []
        for name, stage in self.stages.items():
            x = stage(x)
            if name in self.heads:
                auxiliary_logits.append(self.heads[name](x))
        return self.fc(self.dropout(self.pool(x).flatten(1))), tuple(auxiliary_logits)


def googlenet_2014(
    in_chans: int,
    num_classes: int,
    img_size: int,
    auxiliary: bool = False,
    kernel: int = 5,
    last_pool: int = 3,
    **layers: Any,
) -> nn.Module:
    """GoogLeNet with true 5x5 convolutions, biases and two local response normalisations in its stem.

    6,998,552 parameters and 1,582,671,872 MACs at 3x224x224x1000; 13,378,280 parameters with `auxiliary` classifiers,
    which run in training only (`forward_with_auxiliary`). A norm of each convolution (batch, layer, group) replaces
    the stem's; with norm=batch, `kernel` 3 for 5 and `last_pool` 2 it is torchvision's googlenet, except for the
    latter's epsilon of 1e-3: 6,624,904 parameters and 1,498,376,192 MACs.

    Raises:
        UserError: images smaller than 31 pixels, or 15 with `last_pool` 2.
    """
    check_min_image_size("googlenet_2014", 31 if last_pool == 3 else 15, img_size)
    chosen = LayerChoice(**{"norm": "local_response", "dropout": 0.4, **layers})
    return GoogLeNet(in_chans, num_classes, img_size, auxiliary, kernel, last_pool, chosen)


def _make_unit(layers: LayerChoice) -> ConvUnit:
    norm = "none" if layers.norm == "local_response" else layers.norm
    return ConvUnit(layers.activation, norm, bias=not norms.has_shift(norm))


def _build_stem(in_chans: int, unit: ConvUnit, is_normalised: bool) -> nn.Sequential:
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    modules["conv1"] = unit(in_chans, 64, 7, 2)
    modules["pool1"] = nn.MaxPool2d(3, 2, ceil_mode=True)
    if is_normalised:
        modules["norm1"] = norms.build_norm("local_response", 64)
    modules |= {"conv2": unit(64, 64, 1), "conv3": unit(64, 192, 3)}
    if is_normalised:
        modules["norm2"] = norms.build_norm("local_response", 192)
    modules["pool2"] = nn.MaxPool2d(3, 2, ceil_mode=True)
    return nn.Sequential(modules)


def _list_columns(widths: ModuleWidths, kernel: int) -> tuple[Column, ...]:
    return (
        Column(((widths.single, 1),)),
        Column(((widths.reduction_3x3, 1), (widths.conv_3x3, 3))),
        Column(((widths.reduction_5x5, 1), (widths.conv_5x5, kernel))),
        Column(((widths.projection, 1),), "max"),
    )


def _build_auxiliary_head(
    inputs: int, num_classes: int, side: int, unit: ConvUnit, layers: LayerChoice
) -> nn.Sequential:
    """Build an auxiliary classifier on maps of `side` pixels: 5x5 means every 3 pixels, a 1x1, two linear layers."""
    window = min(5, side)
    pooled_side = (side - window) // 3 + 1  # 4 at 224 pixels
    return nn.Sequential(
        OrderedDict(
            pool=nn.AvgPool2d(window, 3),
            conv=unit(inputs, 128, 1),
            flatten=nn.Flatten(),
            fc1=nn.Linear(128 * pooled_side**2, layers.pieces * 1024),
            activation=layers.act(1024),
            dropout=nn.Dropout(0.7),
            fc2=nn.Linear(1024, num_classes),
        )
    )


KWARG_RULES = {
    "auxiliary": ArgumentRule("true or false", lambda value: isinstance(value, bool)),
    "kernel": ArgumentRule("5 or 3", lambda value: type(value) is int and value in (5, 3)),
    "last_pool": ArgumentRule("3 or 2", lambda value: type(value) is int and value in (3, 2)),
}
BUILDERS = {"googlenet_2014": Builder(googlenet_2014, KWARG_RULES, LAYER_RULES)}
