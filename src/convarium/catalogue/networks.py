"""Which row of the catalogue a network's file stands for, and the images and classes of its paper."""

from dataclasses import dataclass

from convarium.catalogue.rows import Row, main_section, rows

BLOCKS = "2"  # the section of building blocks, which are no networks
SIDES = {"darknet53": 256}  # of papers with other images than 224 pixels, where the table says nothing


@dataclass(frozen=True)
class Images:
    """What a network takes and tells apart: `channels`, `classes`, pixels a `side`."""

    channels: int
    classes: int
    side: int


def row_of(option: str) -> Row | None:
    """Return the row that a file of conf/architecture ("cross_layer/resnet18") runs, None if there is none."""
    wanted = f"architecture={option}"
    found = (row for row in rows() if row.config == wanted and not main_section(row).startswith(BLOCKS))
    return next(found, None)


def images_of(row: Row) -> Images:
    """Return what the row's figures are stated for: ImageNet, unless its name says CIFAR, or it is LeNet-5."""
    if row.id.startswith("lenet5"):
        return Images(1, 10, 32)
    return Images(3, 10, 32) if "CIFAR" in row.name else Images(3, 1000, row.input or SIDES.get(row.id, 224))
