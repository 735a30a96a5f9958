"""Which row of the catalogue a network's file stands for, and the images and classes of its paper."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from convarium.catalogue.rows import CatalogueRow, read_catalogue_rows


@dataclass(frozen=True)
class PaperInput:
    """What a network takes and tells apart.

    Attributes:
        height: of an image, in pixels; its height where `width` is given.
        width: None: of a square image.
        kwargs: of the network, where its paper's is not what its file builds.
    """

    channels: int
    classes: int
    height: int
    width: int | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.channels, self.height, self.width or self.height

    @property
    def size_text(self) -> str:
        """Pixels in words: "224", "512x1024"."""
        return f"{self.height}x{self.width}" if self.width else str(self.height)


IMAGENET_256_INPUT = PaperInput(3, 1000, 256)
CITYSCAPES_INPUT = PaperInput(3, 19, 512, 1024, {"head": "pixels"})
SPECIAL_INPUTS = {
    "resnet10": IMAGENET_256_INPUT,
    "darknet53": IMAGENET_256_INPUT,
    "inception_resnet_v1": PaperInput(3, 1000, 299),
    "d3net_s": CITYSCAPES_INPUT,
    "d3net_l": CITYSCAPES_INPUT,
}
COUNTED_TABLES_PREFIX = "t2t_vit"


def find_architecture_row(option: str, name: str | None = None) -> CatalogueRow | None:
    """Return the row that a file of conf/architecture ("cross_layer/resnet18") runs, None if there is none.

    Args:
        name: that is typed beside the file, such as timm's of a network.
    """
    wanted = f"architecture={option}"
    with_name = f"{wanted} architecture.name={name}"
    return next((row for row in read_catalogue_rows() if row.network and row.config in (wanted, with_name)), None)


def get_paper_input(row: CatalogueRow) -> PaperInput:
    """Return what the row's figures are stated for: ImageNet, unless its name says otherwise, or it is LeNet-5."""
    if row.id in SPECIAL_INPUTS:
        return SPECIAL_INPUTS[row.id]
    if row.id.startswith("lenet5"):
        return PaperInput(1, 10, 32)
    if "MNIST" in row.name:
        return PaperInput(1, 10, 28)
    if "CIFAR" in row.name:
        return PaperInput(3, 10, 32)
    return PaperInput(3, 1000, row.input if isinstance(row.input, int) else 224)


def has_counted_tables(row: CatalogueRow) -> bool:
    """Whether the row's parameters hold fixed tables, buffers here: T2T-ViT's authors keep them as parameters."""
    return row.id.startswith(COUNTED_TABLES_PREFIX)
