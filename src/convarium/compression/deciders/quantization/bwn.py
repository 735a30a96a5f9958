"""Binary weights with a scale for each filter (Rastegari et al. 2016, "XNOR-Net", section 3.1)."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from convarium.compression import sites
from convarium.compression.deciders.interface import NetworkView
from convarium.compression.sites import Site
from convarium.errors import UserError
from convarium.representations.base import Representation
from convarium.representations.binary import Binary
from convarium.representations.filter_layout import DEFAULT_LAYOUT
from convarium.representations.parametrization import extract_innermost_values, replace_innermost_values


def bwn(view: NetworkView) -> dict[str, Representation]:
    """Make the weights of every site binary; of a pruned one those that are kept, with one scale."""
    found: dict[str, Representation] = {}
    for site in _select_binary_sites(view.network, view.step):
        form = view.representations.get(site.name)
        values = extract_innermost_values(form, view.weights[site.name])
        shape = site.shape if form is None else values.shape
        filters = sites.get_filter_layout(view.network, site) if form is None else DEFAULT_LAYOUT
        found[site.name] = replace_innermost_values(
            form, Binary(shape, filters).project(values.view(shape)), site.shape
        )
    return found


def check_step(network: nn.Module, step: Mapping[str, Any]) -> None:
    """Refuse a network of which nothing is left but its ends.

    Raises:
        UserError: there is nothing to make binary.
    """
    if not _select_binary_sites(network, step):
        raise UserError(
            "compression.bwn.first_last_layers=keep leaves no layer between first and last;"
            " write first_last_layers=binary"
        )


def _select_binary_sites(network: nn.Module, step: Mapping[str, Any]) -> list[Site]:
    """The sites but the network's first and last, which the paper keeps as they are."""
    everything = sites.resolve_sites(network, {**step, "sites": ["*"]})
    ends = (everything[0], everything[-1]) if step["first_last_layers"] == "keep" else ()
    return [site for site in sites.resolve_sites(network, step) if site not in ends]
