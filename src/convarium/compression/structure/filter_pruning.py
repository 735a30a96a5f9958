"""Narrow a network: from the channels that groups lose to the decision that carries it out."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set

import torch
from torch import Tensor, nn

from convarium import edits
from convarium.architectures import factory
from convarium.architectures.tied_tensors import find_tied_owners
from convarium.compression.deciders.interface import Decision, NetworkView
from convarium.compression.structure import cuttable_groups
from convarium.compression.structure.channel_groups import ChannelGroup
from convarium.compression.structure.channel_removal import cut_channels, plan_removals
from convarium.edits import resize
from convarium.errors import UserError

FILTER_SIDES = ("out", "both")


def find_prunable_groups(view: NetworkView, network: nn.Module) -> list[ChannelGroup]:
    """Return the groups that can be cut and all of whose filters are among the view's sites.

    Args:
        network: `cuttable_groups.copy_plain_network` of the view's.

    Raises:
        UserError: there is none.
    """
    owner = f"{view.step['method']} on {view.header['architecture']['name']}"
    return find_groups_within(
        cuttable_groups.find_cuttable_groups,
        network,
        view.header["input"]["shape"],
        {site.name for site in view.sites},
        owner,
    )


def find_groups_within(
    finder: Callable[[nn.Module, Sequence[int]], Iterable[ChannelGroup]],
    network: nn.Module,
    shape: Sequence[int],
    names: Set[str],
    owner: str,
) -> list[ChannelGroup]:
    """Return those of the groups that `finder` finds all of whose filters are among `names`.

    Raises:
        UserError: there is none; the line begins with `owner`.
    """
    try:
        everything = list(finder(network, shape))
    except UserError as error:
        raise UserError(f"{owner}: {error}") from None
    if not everything:
        why = ", and layers that share a tensor stay whole" if find_tied_owners(network, modules_once=True) else ""
        raise UserError(f"{owner}: nothing can be cut, no channels can be told apart from those of the others{why}")
    asked = [group for group in everything if collect_filter_names(network, group) <= names]
    if not asked:
        first = ", ".join(sorted(collect_filter_names(network, everything[0])))
        raise UserError(f"{owner}: no group of coupled filters lies wholly in its sites (one group is {first})")
    return asked


def collect_filter_names(network: nn.Module, group: ChannelGroup) -> set[str]:
    """Return the names of the weights that make a group's channels: of convolutions and linear layers."""
    return {
        f"{touch.owner}.weight"
        for touch in group.members
        if touch.side in FILTER_SIDES and _is_conv_or_linear(network, touch.owner)
    }


def sum_l1_norms(network: nn.Module, group: ChannelGroup) -> Tensor:
    """Return the sum of the L1 norms of all coupled filters, for each place in a block: (size / blocks,), float64."""
    found = torch.zeros(group.size, dtype=torch.float64)
    for touch in group.members:
        if touch.side in FILTER_SIDES and _is_conv_or_linear(network, touch.owner):
            weight = network.get_parameter(f"{touch.owner}.weight").detach()
            norms = weight.flatten(1).abs().sum(1, dtype=torch.float64).cpu()
            places, channels = torch.tensor(touch.pairs).unbind(1)
            found.index_add_(0, channels, norms[places])
    return found.view(group.blocks, -1).mean(0)


def count_initial_outputs(view: NetworkView) -> dict[str, int]:
    """Return the outputs of every layer as they were before the method's first round, by its name."""
    bare = factory.build_architecture(view.header["architecture"], "meta")
    edits.apply_surgery(bare, view.header["surgery"])
    return {
        name: module.weight.shape[0]
        for name, module in bare.named_modules()
        if isinstance(getattr(module, "weight", None), Tensor)
    }


def select_lowest_places(group: ChannelGroup, scores: Tensor, count: int) -> list[int]:
    """Return the `count` places with the lowest scores, fewer where a layer would lose all that it has of the group."""
    order = torch.sort(scores, stable=True).indices.tolist()
    chosen = order[: max(0, min(count, len(order) - 1))]
    width = group.size // group.blocks
    for touch in group.members:
        places = {channel % width for _, channel in touch.pairs}
        if places and places <= set(chosen):
            chosen.remove(max(places, key=order.index))
    return sorted(chosen)


def build_cut_decision(
    network: nn.Module, groups: Iterable[ChannelGroup], choice: Mapping[str, Sequence[int]], view: NetworkView
) -> Decision:
    """Return the decision to cut `choice`, after a look at whether the network runs without it.

    Raises:
        UserError: it does not.
    """
    cut, values = cut_channels(network, plan_removals(network, groups, choice))
    if not values:
        return Decision()
    try:
        with torch.no_grad():
            output = cut(torch.zeros(2, *view.header["input"]["shape"]))
    except Exception as error:
        name, first = view.header["architecture"]["name"], str(error).splitlines()[0][:160]
        raise UserError(f"filter pruning does not work on {name}: cut, it fails: {first}") from None
    assert output.shape == (2, view.header["architecture"]["num_classes"])
    return Decision(edits=[resize.build_resize_edit(network, cut)], values=values)


def _is_conv_or_linear(network: nn.Module, name: str) -> bool:
    return isinstance(network.get_submodule(name), nn.modules.conv._ConvNd | nn.Linear)
