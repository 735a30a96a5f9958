"""Binary weights with a scale for each filter (Rastegari et al. 2016, "XNOR-Net", section 3.1)."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from convarium.compression import sites
from convarium.compression.deciders.view import View
from convarium.compression.host import innermost, refit
from convarium.compression.representations.base import Representation
from convarium.compression.representations.binary import Binary
from convarium.compression.representations.filters import USUAL
from convarium.compression.sites import Site
from convarium.errors import UserError


def bwn(view: View) -> dict[str, Representation]:
    """Make the weights of every site binary; of a pruned one those that are kept, with one scale."""
    found: dict[str, Representation] = {}
    for site in _chosen(view.network, view.step):
        form = view.represented.get(site.name)
        values = innermost(form, view.weights[site.name])
        shape = site.shape if form is None else values.shape
        filters = sites.filters(view.network, site) if form is None else USUAL
        found[site.name] = refit(form, Binary(shape, filters).fit(values.view(shape)), site.shape)
    return found


def check(network: nn.Module, step: Mapping[str, Any]) -> None:
    """Refuse a network of which nothing is left but its ends.

    Raises:
        UserError: there is nothing to make binary.
    """
    if not _chosen(network, step):
        raise UserError(
            "compression.bwn.first_last_layers=keep leaves no layer between first and last;"
            " write first_last_layers=binary"
        )


def _chosen(network: nn.Module, step: Mapping[str, Any]) -> list[Site]:
    """The sites but the network's first and last, which the paper keeps as they are."""
    everything = sites.resolve(network, {**step, "sites": ["*"]})
    ends = (everything[0], everything[-1]) if step["first_last_layers"] == "keep" else ()
    return [site for site in sites.resolve(network, step) if site not in ends]
