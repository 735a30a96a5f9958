"""What a decider of structure sees of a whole network."""

from typing import Any

import torch
from torch import nn

from convarium.architectures import factory
from convarium.compression import sites
from convarium.compression.deciders.interface import NetworkView
from convarium.datasets.splits import Splits
from convarium.representations import parametrization


def describe_architecture(name: str, source: str = "own", size: int = 28, channels: int = 1) -> dict[str, Any]:
    given = {"source": source, "name": name, "in_chans": channels, "num_classes": 10, "img_size": size}
    return {**given, "stem": "native", "kwargs": {}}


LENET = describe_architecture("lenet5")


def build_seeded(described: dict[str, Any], seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return factory.build_architecture(described)


def make_network_view(
    network: nn.Module, described: dict[str, Any], progress: float = 1.0, seed: int = 0, **step: Any
) -> NetworkView:
    """Return the view of a network of this architecture with the knobs of a step."""
    knobs = {"per_site": {}, "sites": ["*"], "scope": "layer", **step}
    found = sites.resolve_sites(network, knobs)
    shape = [described["in_chans"], described["img_size"], described["img_size"]]
    header = {"architecture": described, "surgery": [], "classes": 10, "input": {"shape": shape}}
    weights = {site.name: parametrization.materialise_site(network, site.name) for site in found}
    generator = torch.Generator().manual_seed(seed)
    represented = parametrization.collect_representations(network)
    return NetworkView(found, weights, represented, knobs, progress, generator, network, header, _refuse_data)


def _refuse_data() -> Splits:
    raise AssertionError("this decider needs no data")
