"""Parameters and MACs of a row's network, counted on the meta device at the input of its paper; imports torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from convarium.architectures import library
from convarium.catalogue.rows import Row
from convarium.cli.points import ask
from convarium.measurement.macs import macs

FIXED_TABLES = "t2t_vit"


@dataclass(frozen=True)
class Shape:
    """What a paper's network sees, and how many classes it tells apart.

    Attributes:
        height, width: of an image, in pixels.
        kwargs: of the network, where its paper's is not what its file builds.
    """

    channels: int = 3
    classes: int = 1000
    height: int = 224
    width: int = 224
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """Say the size: one number where the image is square."""
        return str(self.height) if self.height == self.width else f"{self.height}x{self.width}"


@dataclass(frozen=True)
class Counted:
    """What was counted, and at which input."""

    parameters: int
    macs: int
    input: str


AT_256 = Shape(height=256, width=256)
CITYSCAPES = Shape(3, 19, 512, 1024, {"head": "pixels"})
OF_THEIR_OWN = {"resnet10": AT_256, "darknet53": AT_256, "d3net_s": CITYSCAPES, "d3net_l": CITYSCAPES}


def shape(row: Row) -> Shape:
    """Return the images and classes of a row's paper."""
    if row.id in OF_THEIR_OWN:
        return OF_THEIR_OWN[row.id]
    if "CIFAR" in row.name:
        return Shape(3, 10, 32, 32)
    if row.id.startswith("lenet5"):
        return Shape(1, 10, 32, 32)
    if "MNIST" in row.name:
        return Shape(1, 10, 28, 28)
    side = row.input if isinstance(row.input, int) else 224
    return Shape(height=side, width=side)


def described(row: Row) -> dict[str, Any]:
    """Return the architecture of a row as a config has it, for the images and classes of its paper.

    Raises:
        UserError: what is to run the row is not accepted.
    """
    (point,) = ask((row.config or "").split()).accepted()
    found, seen = point.config["architecture"], shape(row)
    sizes = {"in_chans": seen.channels, "num_classes": seen.classes, "img_size": seen.height}
    return {**found, **sizes, "kwargs": {**found["kwargs"], **seen.kwargs}}


def counted(row: Row) -> Counted:
    """Build a row's network without memory, and count it.

    Parameters are all, trained or not; of T2T-ViT also the fixed tables, which its authors keep as parameters.

    Raises:
        UserError: the network can't be built so.
    """
    network, seen = library.build(described(row), "meta"), shape(row)
    kept = [*network.parameters(), *(network.buffers() if row.id.startswith(FIXED_TABLES) else ())]
    work = macs(network, (seen.channels, seen.height, seen.width))
    return Counted(sum(one.numel() for one in kept), work, str(seen))
