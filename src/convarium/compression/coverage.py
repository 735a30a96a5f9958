"""How much of a network compression methods can work on: the share of its weights that are sites."""

from collections import Counter
from dataclasses import dataclass

from torch import nn

from convarium.compression.sites import WEIGHTED_LAYERS


@dataclass(frozen=True)
class SiteCoverage:
    """Shares of a network's weights: of the values in parameters of two or more dimensions, tied ones counted once.

    Attributes:
        share: share of the values that belong to sites, in 0..1; 1 for a network without weights.
        other_shares: share of all other values by the class name of the module that holds them, largest first.
    """

    share: float
    other_shares: dict[str, float]


def compute_site_coverage(network: nn.Module) -> SiteCoverage:
    """Return the coverage of a bare network, which may be on the meta device."""
    weighted_layers = [module for module in network.modules() if isinstance(module, WEIGHTED_LAYERS)]
    site_ids = {id(layer._parameters.get("weight")) for layer in weighted_layers}
    seen_ids = set[int]()
    site_size = 0
    other_sizes: Counter[str] = Counter()
    for module in network.modules():
        for parameter in module.parameters(recurse=False):
            if parameter.dim() < 2 or id(parameter) in seen_ids:
                continue
            seen_ids.add(id(parameter))
            if id(parameter) in site_ids:
                site_size += parameter.numel()
            else:
                other_sizes[type(module).__name__] += parameter.numel()
    total_size = site_size + other_sizes.total()
    share = site_size / total_size if total_size else 1.0
    return SiteCoverage(share, {kind: size / total_size for kind, size in other_sizes.most_common()})
