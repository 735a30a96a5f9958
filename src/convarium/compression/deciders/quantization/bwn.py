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
    """Make the weights of every site binary; in a pruned site those that are kept, with one scale for all."""
    representations: dict[str, Representation] = {}
    for site in _select_binary_sites(view.network, view.step):
        previous = view.representations.get(site.name)
        values = extract_innermost_values(previous, view.weights[site.name])
        if previous is None:
            values = values.view(site.shape)
            filters = sites.get_filter_layout(view.network, site)
        else:
            # The kept weights of a pruned site are one vector, which is one filter.
            filters = DEFAULT_LAYOUT
        binary = Binary(values.shape, filters).project(values)
        representations[site.name] = replace_innermost_values(previous, binary, site.shape)
    return representations


def check_step(network: nn.Module, step: Mapping[str, Any]) -> None:
    """Refuse a network that has no layer between its first and last, where these are to be kept.

    Raises:
        UserError: no site is left to make binary.
    """
    if not _select_binary_sites(network, step):
        raise UserError(
            "compression.bwn.first_last_layers=keep leaves no layer between first and last;"
            " write first_last_layers=binary"
        )


def _select_binary_sites(network: nn.Module, step: Mapping[str, Any]) -> list[Site]:
    """The step's sites, with `first_last_layers: keep` without the network's first and last (as in the paper)."""
    selected_sites = sites.resolve_sites(network, step)
    if step["first_last_layers"] != "keep":
        return list(selected_sites)
    all_sites = sites.resolve_sites(network, {**step, "sites": ["*"]})
    ends = (all_sites[0], all_sites[-1])
    return [site for site in selected_sites if site not in ends]
