"""Images and classes that a catalogue row's figures are stated for, and the row of an architecture config."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from convarium.catalogue.rows import CatalogueRow, read_catalogue_rows


@dataclass(frozen=True)
class PaperInput:
    """Input and output sizes of a network in its paper.

    Attributes:
        channels: of an image.
        classes: number of them.
        height: of an image, in pixels.
        width: in pixels; None for a square image.
        kwargs: of the architecture, where the paper's network is not what its config builds.
    """

    channels: int
    classes: int
    height: int
    width: int | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of an image, (C, H, W)."""
        return self.channels, self.height, self.width or self.height

    @property
    def size_text(self) -> str:
        """Size of an image in pixels: "224", "512x1024"."""
        return f"{self.height}x{self.width}" if self.width else str(self.height)


IMAGENET_256_INPUT = PaperInput(3, 1000, 256)
# 19 classes of pixels, images at half their resolution
CITYSCAPES_INPUT = PaperInput(3, 19, 512, 1024, {"head": "pixels"})
SPECIAL_INPUTS = {
    # papers.yaml: the MACs of these two are printed for 256 pixels.
    "resnet10": IMAGENET_256_INPUT,
    "darknet53": IMAGENET_256_INPUT,
    "inception_resnet_v1": PaperInput(3, 1000, 299),
    "d3net_s": CITYSCAPES_INPUT,
    "d3net_l": CITYSCAPES_INPUT,
}
COUNTED_TABLES_PREFIX = "t2t_vit"


def find_architecture_row(option: str, name: str | None = None) -> CatalogueRow | None:
    """Return the row whose network a config of conf/architecture builds, None if there is none.

    Args:
        option: the config, such as "cross_layer/resnet18".
        name: the override `architecture.name`, such as the network's name in timm.
    """
    config_override = f"architecture={option}"
    accepted_overrides = (config_override, f"{config_override} architecture.name={name}")
    for row in read_catalogue_rows():
        if row.network and row.config in accepted_overrides:
            return row
    return None


def get_paper_input(row: CatalogueRow) -> PaperInput:
    """Return the input that the row's figures are stated for: ImageNet unless id or name say otherwise."""
    if row.id in SPECIAL_INPUTS:
        return SPECIAL_INPUTS[row.id]
    if row.id.startswith("lenet5"):
        return PaperInput(1, 10, 32)  # MNIST's 28 pixels, padded
    if "MNIST" in row.name:
        return PaperInput(1, 10, 28)
    if "CIFAR" in row.name:
        return PaperInput(3, 10, 32)
    height = row.input if isinstance(row.input, int) else 224
    return PaperInput(3, 1000, height)


def has_counted_tables(row: CatalogueRow) -> bool:
    """Return whether the row's parameters include fixed tables, which are buffers here: so do T2T-ViT's authors."""
    return row.id.startswith(COUNTED_TABLES_PREFIX)
