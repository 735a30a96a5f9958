"""GoogLeNet (Inception v1): Szegedy et al., "Going deeper with convolutions", CVPR 2015, table 1."""

from collections import OrderedDict
from typing import Any

from torch import Tensor, nn

from convarium.architectures.blocks import norms, pooling
from convarium.architectures.blocks.inception import Column, ConvUnit, Inception
from convarium.architectures.blocks.layers import LAYER_RULES, LayerChoice
from convarium.architectures.builder import ArgumentRule, Builder
from convarium.architectures.image_sizes import check_min_image_size

# Of each module: 1x1, 3x3 reduced and full, 5x5 reduced and full, the projection of what is pooled.
MODULE_WIDTHS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
MODULES_WITH_AUXILIARY = ("4a", "4d")  # an auxiliary classifier hangs from each


class GoogLeNet(nn.Module):
    """A stem, nine modules, the mean of the maps, one linear layer; beside it, for training, two more classifiers.

    Attributes:
        auxiliary_weight: what the loss of each of these two counts in training (section 5 of the paper).
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
            if name in ("4a", "5a"):
                self.stages[f"pool{name[0]}"] = nn.MaxPool2d(3 if name == "4a" else last_pool, 2, ceil_mode=True)
            module = Inception(inputs, _list_columns(widths, kernel), unit)
            self.stages[name], inputs = module, module.width
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
        said, x = [], self.stem(x)
        for name, stage in self.stages.items():
            x = stage(x)
            if name in self.heads:
                said.append(self.heads[name](x))
        return self.fc(self.dropout(self.pool(x).flatten(1))), tuple(said)


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
    which only training asks (`forward_with_auxiliary`). A norm of each convolution (batch, layer, group) takes the
    place of the stem's; with norm=batch, `kernel` 3 for 5 and `last_pool` 2 it is torchvision's googlenet, but for its
    epsilon of 1e-3: 6,624,904 parameters and 1,498,376,192 MACs.

    Raises:
        UserError: images smaller than 31 pixels, with `last_pool` 2 than 15.
    """
    check_min_image_size("googlenet_2014", 31 if last_pool == 3 else 15, img_size)
    chosen = LayerChoice(**{"norm": "local_response", "dropout": 0.4, **layers})
    return GoogLeNet(in_chans, num_classes, img_size, auxiliary, kernel, last_pool, chosen)


def _make_unit(layers: LayerChoice) -> ConvUnit:
    norm = "none" if layers.norm == "local_response" else layers.norm
    return ConvUnit(layers.activation, norm, bias=not norms.has_shift(norm))


def _build_stem(in_chans: int, unit: ConvUnit, normalised: bool) -> nn.Sequential:
    made: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=unit(in_chans, 64, 7, 2), pool1=nn.MaxPool2d(3, 2, ceil_mode=True)
    )
    if normalised:
        made["norm1"] = norms.build_norm("local_response", 64)
    made |= {"conv2": unit(64, 64, 1), "conv3": unit(64, 192, 3)}
    if normalised:
        made["norm2"] = norms.build_norm("local_response", 192)
    made["pool2"] = nn.MaxPool2d(3, 2, ceil_mode=True)
    return nn.Sequential(made)


def _list_columns(widths: tuple[int, ...], kernel: int) -> tuple[Column, ...]:
    one, reduced, three, less, large, projected = widths
    return (
        Column(((one, 1),)),
        Column(((reduced, 1), (three, 3))),
        Column(((less, 1), (large, kernel))),
        Column(((projected, 1),), "max"),
    )


def _build_auxiliary_head(
    inputs: int, num_classes: int, side: int, unit: ConvUnit, layers: LayerChoice
) -> nn.Sequential:
    """An auxiliary classifier: 5x5 means every 3 pixels (4x4 of them at 224 pixels), 1x1, two linear layers."""
    window = min(5, side)
    left = (side - window) // 3 + 1
    return nn.Sequential(
        OrderedDict(
            pool=nn.AvgPool2d(window, 3),
            conv=unit(inputs, 128, 1),
            flatten=nn.Flatten(),
            fc1=nn.Linear(128 * left * left, layers.pieces * 1024),
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
