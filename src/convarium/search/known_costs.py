"""What a trial's network will cost, as far as that is certain before anything is trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from json import loads
from typing import Any

from convarium.architectures import factory
from convarium.config.option_file import read_option
from convarium.config.point import Point
from convarium.config.search_path import find_config_file
from convarium.config.step_order import list_left_properties
from convarium.cost.network_cost import Cost, count_stored_bytes
from convarium.cvm.header import pack_file
from convarium.datasets.loading import find_declared_normalisation
from convarium.datasets.splits import Splits
from convarium.lookup import allow_packages, find_named_packages
from convarium.planning.point_coverage import WEIGHT_SOURCE_KEYS, drop_weight_source
from convarium.stages.train import build_file_header
from convarium.store.signature import canonical_json

# A method that leaves the network only these changes neither the shape of a tensor nor what is computed with it.
PROPERTIES_OF_VALUES = {"sparse", "shared", "quantized", "coded"}

Json = Mapping[str, Any]


@dataclass(frozen=True)
class DenseCosts:
    """What is certain of a dense network by its architecture alone.

    Attributes:
        stored_bytes: of its tensors in a file.
    """

    parameters: int
    macs: int
    stored_bytes: int


def find_known_costs(point: Point) -> dict[str, float]:
    """Return the measures of a point's decoded network that are certain, equal to those that its score will have.

    Without compression these are parameters, MACs, ratio (1) and the bytes of the file, which do not depend on values;
    the bytes only where the file's header is certain too. Behind steps of which each leaves the structure alone they
    are parameters and MACs. How many weights become zero is never certain.
    """
    config = point.config
    if not all(map(_keeps_structure, config["compression"])):
        return {}
    with allow_packages(find_named_packages(config)):
        architecture = factory.condense_architecture(drop_weight_source(config["architecture"]))
        dense = _count_dense_costs(canonical_json(architecture))
    costs: dict[str, float] = {"parameters": dense.parameters, "macs": dense.macs}
    if config["compression"]:
        return costs
    header_bytes = _find_header_bytes(config, architecture)
    if header_bytes is not None:
        costs["file_bytes"] = header_bytes + dense.stored_bytes
    return {**costs, "ratio": 1.0}


def _keeps_structure(step: Json) -> bool:
    """Whether the YAML of a step's method says that it changes values only: neither shapes nor computations."""
    method = step["method"]
    path = find_config_file("conf", f"compression/{method}")
    if path is None:
        return False
    option = _read_option_once(path)
    left_properties = list_left_properties(method, option)
    # What a YAML says holds for its own phases; a step may have others under the same method.
    is_of_step = (option.get("method"), option.get("phases")) == (method, step["phases"])
    return is_of_step and bool(left_properties) and PROPERTIES_OF_VALUES.issuperset(left_properties)


_read_option_once = cache(read_option)  # a search asks the same of every trial


@cache
def _count_dense_costs(architecture_text: str) -> DenseCosts:
    """Count on the meta device; the architecture is given as canonical JSON."""
    architecture = loads(architecture_text)
    network = factory.build_architecture(architecture, "meta")
    side = architecture["img_size"]
    cost = Cost(network, (architecture["in_chans"], side, side))
    return DenseCosts(cost.parameters, cost.macs, count_stored_bytes(network))


def _find_header_bytes(config: Json, architecture: Json) -> int | None:
    """Return the bytes of everything but the tensors in the file of a network that is trained from scratch.

    None where they depend on more than the config: the normalisation on the images or on a library's weights, all of it
    on an adopted network's file.
    """
    dataset = config["dataset"]
    normalisation = find_declared_normalisation(dataset)
    if normalisation is None or any(key in config["architecture"] for key in WEIGHT_SOURCE_KEYS):
        return None
    splits = Splits(None, None, None, *normalisation)
    return _count_header_bytes(canonical_json(build_file_header(architecture, config["task"], dataset, splits)))


@cache
def _count_header_bytes(header_text: str) -> int:
    """Return the bytes of a file that has this header, given as canonical JSON, and no tensors."""
    return len(pack_file(loads(header_text), [], b""))
