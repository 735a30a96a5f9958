"""Inception-ResNet-v1: Szegedy, Ioffe, Vanhoucke and Alemi, "Inception-v4, Inception-ResNet …", AAAI 2017.

The paper gives no count. This is its figures 10 to 14 read as they stand, with residuals scaled as in the
authors' released code of the second version.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from convarium.architectures.blocks import pooling
from convarium.architectures.blocks.activations import repeat_for_pieces
from convarium.architectures.blocks.inception import Column, ConvUnit, Inception
from convarium.architectures.blocks.layers import LAYER_RULES, LayerChoice
from convarium.architectures.builder import ArgumentRule, Builder
from convarium.architectures.image_sizes import check_min_image_size

EMBEDDING_WIDTH = 512


@dataclass(frozen=True)
class ResidualKind:
    """Residual modules of one kind: `count` in sequence, which scale what they add by `scale`."""

    columns: tuple[Column, ...]
    scale: float
    count: int


COLUMNS_A = (
    Column(((32, 1),)),
    Column(((32, 1), (32, 3))),
    Column(((32, 1), (32, 3), (32, 3))),
)
COLUMNS_B = (
    Column(((128, 1),)),
    Column(((128, 1), (128, (1, 7)), (128, (7, 1)))),
)
COLUMNS_C = (
    Column(((192, 1),)),
    Column(((192, 1), (192, (1, 3)), (192, (3, 1)))),
)
KIND_A = ResidualKind(COLUMNS_A, scale=0.17, count=5)
KIND_B = ResidualKind(COLUMNS_B, scale=0.10, count=10)
KIND_C = ResidualKind(COLUMNS_C, scale=0.20, count=5)
REDUCTION_POOL = Column((), "max", 2, is_padded=False)
REDUCTION_A = (
    Column(((384, 3),), stride=2, is_padded=False),
    Column(((192, 1), (192, 3), (256, 3)), stride=2, is_padded=False),
    REDUCTION_POOL,
)
REDUCTION_B = (
    Column(((256, 1), (384, 3)), stride=2, is_padded=False),
    Column(((256, 1), (256, 3)), stride=2, is_padded=False),
    Column(((256, 1), (256, 3), (256, 3)), stride=2, is_padded=False),
    REDUCTION_POOL,
)


class Residual(nn.Module):
    """Columns, a 1x1 convolution to the input's width, scaled and added to the input; then the activation.

    A `linear` one has neither scale nor activation.
    """

    def __init__(
        self, inputs: int, kind: ResidualKind, unit: ConvUnit, layers: LayerChoice, linear: bool = False
    ) -> None:
        super().__init__()
        self.columns = Inception(inputs, kind.columns, unit)
        self.expand = nn.Conv2d(self.columns.width, inputs * (1 if linear else layers.pieces), 1)
        self.act = nn.Identity() if linear else layers.act(inputs)
        self.scale = 1.0 if linear else kind.scale
        # A linear module adds the plain input: no activation after the sum takes pieces of it.
        self.activation = "relu" if linear else layers.activation

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to the same shape."""
        inner = self.scale * self.expand(self.columns(x))
        return self.act(inner + repeat_for_pieces(x, self.activation))  # type: ignore[no-any-return]


def inception_resnet_v1(
    in_chans: int, num_classes: int, img_size: int, ported: bool = False, **layers: Any
) -> nn.Module:
    """Stem, 5 modules A, a reduction, 10 modules B, a reduction, 5 modules C, dropout, the classifier.

    22,756,328 parameters and 6,206,361,696 MACs at 3x299x299x1000. `ported` is the form that ports of a face recogniser
    have: a sixth module C that is linear, and 512 normalised features before the classifier (23,995,624 parameters).

    Raises:
        UserError: images smaller than 75 pixels.
    """
    check_min_image_size("inception_resnet_v1", 75, img_size)
    chosen = LayerChoice(**{"dropout": 0.2, **layers})
    unit = ConvUnit(chosen.activation, chosen.norm, bias=chosen.needs_bias)
    modules: OrderedDict[str, nn.Module] = OrderedDict(stem=_build_stem(in_chans, unit))
    width = 256
    for name, kind, reduction in (("a", KIND_A, ()), ("b", KIND_B, REDUCTION_A), ("c", KIND_C, REDUCTION_B)):
        if reduction:
            module = Inception(width, reduction, unit)
            modules[f"reduction_{name}"] = nn.Sequential(module)
            width = module.width
        residuals = [Residual(width, kind, unit, chosen) for _ in range(kind.count)]
        modules[f"modules_{name}"] = nn.Sequential(*residuals)
    if ported:
        modules["linear"] = nn.Sequential(Residual(width, KIND_C, unit, chosen, linear=True))
    modules["pool"] = nn.Sequential(pooling.build_global_pool(chosen.pooling, width), nn.Flatten(), chosen.drop())
    modules["head"] = _build_head(pooling.count_features(chosen.pooling, width), num_classes, ported)
    return nn.Sequential(modules)


def _build_stem(in_chans: int, unit: ConvUnit) -> nn.Sequential:
    """Build the stem of figure 14: 299 pixels become 35; only the third convolution is padded."""
    return nn.Sequential(
        unit(in_chans, 32, 3, 2, 0),
        unit(32, 32, 3, 1, 0),
        unit(32, 64, 3),
        nn.MaxPool2d(3, 2),
        unit(64, 80, 1),
        unit(80, 192, 3, 1, 0),
        unit(192, 256, 3, 2, 0),
    )


def _build_head(features: int, num_classes: int, ported: bool) -> nn.Sequential:
    if not ported:
        return nn.Sequential(nn.Linear(features, num_classes))
    return nn.Sequential(
        nn.Linear(features, EMBEDDING_WIDTH, bias=False),
        nn.BatchNorm1d(EMBEDDING_WIDTH),
        nn.Linear(EMBEDDING_WIDTH, num_classes),
    )


KWARG_RULES = {"ported": ArgumentRule("true or false", lambda value: isinstance(value, bool))}
BUILDERS = {"inception_resnet_v1": Builder(inception_resnet_v1, KWARG_RULES, LAYER_RULES)}
