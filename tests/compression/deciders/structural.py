"""What a decider of structure sees of a whole network."""

from typing import Any

import torch
from torch import nn

from convarium.architectures import library
from convarium.compression import host, sites
from convarium.compression.deciders.view import View
from convarium.datasets.splits import Splits


def architecture(name: str, source: str = "own", size: int = 28, channels: int = 1) -> dict[str, Any]:
    given = {"source": source, "name": name, "in_chans": channels, "num_classes": 10, "img_size": size}
    return {**given, "stem": "native", "kwargs": {}}


LENET = architecture("lenet5")


def built(described: dict[str, Any], seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return library.build(described)


def look(network: nn.Module, described: dict[str, Any], progress: float = 1.0, seed: int = 0, **step: Any) -> View:
    """Return the view of a network of this architecture with the knobs of a step."""
    knobs = {"per_site": {}, "sites": ["*"], "scope": "layer", **step}
    found = sites.resolve(network, knobs)
    shape = [described["in_chans"], described["img_size"], described["img_size"]]
    header = {"architecture": described, "surgery": [], "classes": 10, "input": {"shape": shape}}
    weights = {site.name: host.materialised(network, site.name) for site in found}
    generator = torch.Generator().manual_seed(seed)
    represented = host.represented(network)
    return View(found, weights, represented, knobs, progress, generator, network, header, _no_data)


def _no_data() -> Splits:
    raise AssertionError("this decider needs no data")
