"""How much of a network methods can work on: its sites, among all of its weights."""

from collections import Counter
from dataclasses import dataclass

from torch import nn

from convarium.compression.sites import WEIGHTED_LAYERS


@dataclass(frozen=True)
class SiteCoverage:
    """Shares of a network's weights (parameters of two dimensions or more, tied ones once), by number of values.

    Attributes:
        share: what sites are, in 0..1; 1 of a network without weights.
        other_shares: what the rest is, by the type of the module that holds it; the largest first.
    """

    share: float
    other_shares: dict[str, float]


def compute_site_coverage(network: nn.Module) -> SiteCoverage:
    """Return what methods can work on in a bare network, which may live on the meta device."""
    sites = {
        id(module._parameters.get("weight")) for module in network.modules() if isinstance(module, WEIGHTED_LAYERS)
    }
    seen = set[int]()
    sizes: Counter[str | None] = Counter()
    for module in network.modules():
        for parameter in module.parameters(recurse=False):
            if parameter.dim() > 1 and id(parameter) not in seen:
                seen.add(id(parameter))
                sizes[None if id(parameter) in sites else type(module).__name__] += parameter.numel()
    total = sizes.total()
    others = {kind: size / total for kind, size in sizes.most_common() if kind is not None}
    return SiteCoverage(sizes[None] / total if total else 1.0, others)
