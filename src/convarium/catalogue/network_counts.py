"""Parameters and MACs of a row's network, counted on the meta device at the input of its paper; imports torch."""

from dataclasses import dataclass
from typing import Any

from convarium.architectures import factory
from convarium.catalogue.paper_inputs import get_paper_input, has_counted_tables
from convarium.catalogue.rows import CatalogueRow
from convarium.compose.points import compose_points
from convarium.cost.network_cost import Cost


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
    architecture, paper_input = point.config["architecture"], get_paper_input(row)
    sizes = {
        "in_chans": paper_input.channels,
        "num_classes": paper_input.classes,
        "img_size": paper_input.height,
    }
    return {**architecture, **sizes, "kwargs": {**architecture["kwargs"], **paper_input.kwargs}}


def count_network(row: CatalogueRow) -> NetworkCounts:
    """Build a row's network without memory, and count it.

    Parameters are all, trained or not, with the fixed tables where the row counts those.

    Raises:
        UserError: the network can't be built so.
    """
    architecture = factory.condense_architecture(build_architecture_config(row))
    paper_input = get_paper_input(row)
    cost = Cost(factory.build_architecture(architecture, "meta"), paper_input.shape)
    parameters = cost.parameters + (cost.buffers if has_counted_tables(row) else 0)
    return NetworkCounts(parameters, cost.macs, paper_input.size_text)
