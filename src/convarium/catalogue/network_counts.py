"""Parameters and MACs of a row's network, counted on the meta device for the input of its paper; imports torch."""

from dataclasses import dataclass
from typing import Any

from convarium.architectures import factory
from convarium.catalogue.paper_inputs import get_paper_input, has_counted_tables
from convarium.catalogue.rows import CatalogueRow
from convarium.compose.points import compose_points
from convarium.cost.network_cost import Cost


@dataclass(frozen=True)
class NetworkCounts:
    """Counts of a network.

    Attributes:
        macs: of one image.
        input_size: of that image, in pixels: "224", "512x1024".
    """

    parameters: int
    macs: int
    input_size: str


def build_architecture_config(row: CatalogueRow) -> dict[str, Any]:
    """Return the architecture config of a row, for the images and classes of its paper.

    Raises:
        UserError: the row's overrides are not accepted.
    """
    (point,) = compose_points((row.config or "").split()).check_points()
    architecture = point.config["architecture"]
    paper_input = get_paper_input(row)
    return {
        **architecture,
        "in_chans": paper_input.channels,
        "num_classes": paper_input.classes,
        "img_size": paper_input.height,
        "kwargs": {**architecture["kwargs"], **paper_input.kwargs},
    }


def count_network(row: CatalogueRow) -> NetworkCounts:
    """Build a row's network on the meta device, without memory for its weights, and count it.

    All parameters count, trained or not, and fixed tables where the row's figure includes them.

    Raises:
        UserError: the row's overrides are not accepted, or don't build a network for its paper's input.
    """
    architecture = factory.condense_architecture(build_architecture_config(row))
    paper_input = get_paper_input(row)
    cost = Cost(factory.build_architecture(architecture, "meta"), paper_input.shape)
    parameters = cost.parameters + (cost.buffers if has_counted_tables(row) else 0)
    return NetworkCounts(parameters, cost.macs, paper_input.size_text)
