"""Parameters and MACs of a row's network, counted on the meta device at the input of its paper; imports torch."""

from dataclasses import dataclass
from typing import Any

from convarium.architectures import library
from convarium.catalogue.networks import counts_tables, images_of
from convarium.catalogue.rows import Row
from convarium.cli.points import ask
from convarium.measurement.macs import macs


@dataclass(frozen=True)
class Counted:
    """What was counted, and at which input."""

    parameters: int
    macs: int
    input: str


def described(row: Row) -> dict[str, Any]:
    """Return the architecture of a row as a config has it, for the images and classes of its paper.

    Raises:
        UserError: what is to run the row is not accepted.
    """
    (point,) = ask((row.config or "").split()).accepted()
    found, seen = point.config["architecture"], images_of(row)
    sizes = {"in_chans": seen.channels, "num_classes": seen.classes, "img_size": seen.side}
    return {**found, **sizes, "kwargs": {**found["kwargs"], **seen.kwargs}}


def counted(row: Row) -> Counted:
    """Build a row's network without memory, and count it.

    Parameters are all, trained or not, with the fixed tables where the row counts those.

    Raises:
        UserError: the network can't be built so.
    """
    network, seen = library.build(library.delivered(described(row)), "meta"), images_of(row)
    kept = [*network.parameters(), *(network.buffers() if counts_tables(row) else ())]
    return Counted(sum(one.numel() for one in kept), macs(network, seen.shape), seen.size)
