"""Which row of the catalogue a network's file stands for, and the images and classes of its paper."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from convarium.catalogue.rows import Row, rows


@dataclass(frozen=True)
class Images:
    """What a network takes and tells apart.

    Attributes:
        side: of an image, in pixels; its height where `width` is given.
        width: None: of a square image.
        kwargs: of the network, where its paper's is not what its file builds.
    """

    channels: int
    classes: int
    side: int
    width: int | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.channels, self.side, self.width or self.side

    @property
    def size(self) -> str:
        """Pixels in words: "224", "512x1024"."""
        return f"{self.side}x{self.width}" if self.width else str(self.side)


AT_256 = Images(3, 1000, 256)
CITYSCAPES = Images(3, 19, 512, 1024, {"head": "pixels"})
OF_THEIR_OWN = {
    "resnet10": AT_256,
    "darknet53": AT_256,
    "inception_resnet_v1": Images(3, 1000, 299),
    "d3net_s": CITYSCAPES,
    "d3net_l": CITYSCAPES,
}
WITH_TABLES = "t2t_vit"


def row_of(option: str, name: str | None = None) -> Row | None:
    """Return the row that a file of conf/architecture ("cross_layer/resnet18") runs, None if there is none.

    Args:
        name: that is typed beside the file, such as timm's of a network.
    """
    wanted = f"architecture={option}"
    with_name = f"{wanted} architecture.name={name}"
    return next((row for row in rows() if row.network and row.config in (wanted, with_name)), None)


def images_of(row: Row) -> Images:
    """Return what the row's figures are stated for: ImageNet, unless its name says otherwise, or it is LeNet-5."""
    if row.id in OF_THEIR_OWN:
        return OF_THEIR_OWN[row.id]
    if row.id.startswith("lenet5"):
        return Images(1, 10, 32)
    if "MNIST" in row.name:
        return Images(1, 10, 28)
    if "CIFAR" in row.name:
        return Images(3, 10, 32)
    return Images(3, 1000, row.input if isinstance(row.input, int) else 224)


def counts_tables(row: Row) -> bool:
    """Whether the row's parameters hold fixed tables, buffers here: T2T-ViT's authors keep them as parameters."""
    return row.id.startswith(WITH_TABLES)
