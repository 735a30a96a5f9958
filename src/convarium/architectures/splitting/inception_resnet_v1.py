"""Inception-ResNet-v1: Szegedy, Ioffe, Vanhoucke and Alemi, "Inception-v4, Inception-ResNet …", AAAI 2017.

The paper gives no count. This is its figures 10 to 14 read as they stand, with sums scaled as in the authors' released
code of the second version.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from convarium.architectures.blocks import pooling
from convarium.architectures.blocks.activations import each_piece
from convarium.architectures.blocks.inception import Column, Inception, Unit
from convarium.architectures.blocks.layers import LAYERS, Layers
from convarium.architectures.kwargs import Allowed, Builder
from convarium.architectures.sizes import at_least

EMBEDDING = 512


@dataclass(frozen=True)
class Kind:
    """A module with a shortcut: `count` of it stand one after another, the columns' part of each sum times `scale`."""

    columns: tuple[Column, ...]
    scale: float
    count: int


A = Kind((Column(((32, 1),)), Column(((32, 1), (32, 3))), Column(((32, 1), (32, 3), (32, 3)))), 0.17, 5)
B = Kind((Column(((128, 1),)), Column(((128, 1), (128, (1, 7)), (128, (7, 1))))), 0.10, 10)
C = Kind((Column(((192, 1),)), Column(((192, 1), (192, (1, 3)), (192, (3, 1))))), 0.20, 5)
POOL = Column((), "max", 2, padded=False)
REDUCTION_A = (
    Column(((384, 3),), stride=2, padded=False),
    Column(((192, 1), (192, 3), (256, 3)), stride=2, padded=False),
    POOL,
)
REDUCTION_B = (
    Column(((256, 1), (384, 3)), stride=2, padded=False),
    Column(((256, 1), (256, 3)), stride=2, padded=False),
    Column(((256, 1), (256, 3), (256, 3)), stride=2, padded=False),
    POOL,
)


class Residual(nn.Module):
    """Columns whose maps a 1x1 convolution brings to the input's width, scaled and added to it; then the activation.

    The `linear` one has neither scale nor activation.
    """

    def __init__(self, inputs: int, kind: Kind, unit: Unit, layers: Layers, linear: bool = False) -> None:
        super().__init__()
        self.columns = Inception(inputs, kind.columns, unit)
        self.expand = nn.Conv2d(self.columns.width, inputs * (1 if linear else layers.pieces), 1)
        self.act = nn.Identity() if linear else layers.act(inputs)
        self.scale, self.activation = (1.0, "relu") if linear else (kind.scale, layers.activation)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to the same shape."""
        inner = self.scale * self.expand(self.columns(x))
        return self.act(inner + each_piece(x, self.activation))  # type: ignore[no-any-return]


def inception_resnet_v1(
    in_chans: int, num_classes: int, img_size: int, ported: bool = False, **layers: Any
) -> nn.Module:
    """Stem, 5 modules A, a reduction, 10 modules B, a reduction, 5 modules C, dropout, the classifier.

    22,756,328 parameters and 6,206,361,696 MACs at 3x299x299x1000. `ported` is the form that ports of a face recogniser
    have: a sixth module C that is linear, and 512 normalised features before the classifier (23,995,624 parameters).

    Raises:
        UserError: images smaller than 75 pixels.
    """
    at_least("inception_resnet_v1", 75, img_size)
    chosen = Layers(**{"dropout": 0.2, **layers})
    unit = Unit(chosen.activation, chosen.norm, bias=chosen.biased)
    made: OrderedDict[str, nn.Module] = OrderedDict(stem=_stem(in_chans, unit))
    width = 256
    for name, kind, reduction in (("a", A, ()), ("b", B, REDUCTION_A), ("c", C, REDUCTION_B)):
        if reduction:
            module = Inception(width, reduction, unit)
            made[f"reduction_{name}"], width = nn.Sequential(module), module.width
        made[f"modules_{name}"] = nn.Sequential(*(Residual(width, kind, unit, chosen) for _ in range(kind.count)))
    if ported:
        made["linear"] = nn.Sequential(Residual(width, C, unit, chosen, linear=True))
    made["pool"] = nn.Sequential(pooling.global_pool(chosen.pooling, width), nn.Flatten(), chosen.drop())
    made["head"] = _head(pooling.features(chosen.pooling, width), num_classes, ported)
    return nn.Sequential(made)


def _stem(in_chans: int, unit: Unit) -> nn.Sequential:
    """Figure 14: 299 pixels become 35, without borders but in the third convolution."""
    return nn.Sequential(
        unit(in_chans, 32, 3, 2, 0),
        unit(32, 32, 3, 1, 0),
        unit(32, 64, 3),
        nn.MaxPool2d(3, 2),
        unit(64, 80, 1),
        unit(80, 192, 3, 1, 0),
        unit(192, 256, 3, 2, 0),
    )


def _head(features: int, num_classes: int, ported: bool) -> nn.Sequential:
    if not ported:
        return nn.Sequential(nn.Linear(features, num_classes))
    embed = nn.Linear(features, EMBEDDING, bias=False), nn.BatchNorm1d(EMBEDDING)
    return nn.Sequential(*embed, nn.Linear(EMBEDDING, num_classes))


KWARGS = {"ported": Allowed("true or false", lambda value: isinstance(value, bool))}
BUILDERS = {"inception_resnet_v1": Builder(inception_resnet_v1, KWARGS, LAYERS)}
