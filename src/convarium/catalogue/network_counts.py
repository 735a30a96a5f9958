"""Parameters and MACs of a row's network, counted on the meta device at the input of its paper; imports torch."""

from dataclasses import dataclass
from typing import Any

from convarium.architectures import factory
from convarium.catalogue.paper_inputs import get_paper_input, has_counted_tables
from convarium.catalogue.rows import CatalogueRow
from convarium.compose.points import compose_points
from convarium.cost.macs import count_macs


@dataclass(frozen=True)
class NetworkCounts:
    """What was counted, and at which input."""

    parameters: int
    macs: int
    input_size: str


def build_architecture_config(row: CatalogueRow) -> dict[str, Any]:
    """Return the architecture of a row as a config has it, for the images and classes of its paper.

    Raises:
        UserError: what is to run the row is not accepted.
    """
    (point,) = compose_points((row.config or "").split()).check_points()
    found, seen = point.config["architecture"], get_paper_input(row)
    sizes = {"in_chans": seen.channels, "num_classes": seen.classes, "img_size": seen.height}
    return {**found, **sizes, "kwargs": {**found["kwargs"], **seen.kwargs}}


def count_network(row: CatalogueRow) -> NetworkCounts:
    """Build a row's network without memory, and count it.

    Parameters are all, trained or not, with the fixed tables where the row counts those.

    Raises:
        UserError: the network can't be built so.
    """
    network, seen = (
        factory.build_architecture(factory.condense_architecture(build_architecture_config(row)), "meta"),
        get_paper_input(row),
    )
    kept = [*network.parameters(), *(network.buffers() if has_counted_tables(row) else ())]
    return NetworkCounts(sum(one.numel() for one in kept), count_macs(network, seen.shape), seen.size_text)
