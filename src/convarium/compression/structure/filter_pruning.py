"""What the deciders of filter pruning share: which groups may be cut, how filters are scored, and the decision."""

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

FILTER_SIDES = ("out", "both")  # "both" for depthwise convolutions, which have a filter for each channel too


def find_prunable_groups(view: NetworkView, network: nn.Module) -> list[ChannelGroup]:
    """Return the groups that can be cut and have all their filters among the view's sites.

    Args:
        view: the decider's view.
        network: plain copy of the view's network, from `cuttable_groups.copy_plain_network`.

    Raises:
        UserError: the network can't be traced, or there is no such group.
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
    """Return the groups found by `finder` that have all their filters among `names`.

    Args:
        finder: `cuttable_groups.find_cuttable_groups` or `find_runnable_groups`.
        network: plain.
        shape: shape of an image, (channels, height, width).
        names: names of weights.
        owner: what the message of an error begins with: the method and the network.

    Raises:
        UserError: the network can't be traced, or there is no such group.
    """
    try:
        all_groups = list(finder(network, shape))
    except UserError as error:
        raise UserError(f"{owner}: {error}") from None
    if not all_groups:
        has_ties = bool(find_tied_owners(network, modules_once=True))
        reason = ", and layers that share a tensor stay whole" if has_ties else ""
        raise UserError(f"{owner}: nothing can be cut, no channels can be told apart from those of the others{reason}")
    groups = [group for group in all_groups if collect_filter_names(network, group) <= names]
    if not groups:
        example = ", ".join(sorted(collect_filter_names(network, all_groups[0])))
        raise UserError(f"{owner}: no group of coupled filters lies wholly in its sites (one group is {example})")
    return groups


def collect_filter_names(network: nn.Module, group: ChannelGroup) -> set[str]:
    """Return the names of the weights whose outputs are a group's channels: of convolutions and linear layers."""
    return {
        f"{member.owner}.weight"
        for member in group.members
        if member.side in FILTER_SIDES and _is_conv_or_linear(network, member.owner)
    }


def sum_l1_norms(network: nn.Module, group: ChannelGroup) -> Tensor:
    """Return the summed L1 norms of the coupled filters for each position in a block, float64 (size / blocks,).

    Filters at the same position of several blocks go together, so their mean over the blocks is taken.
    """
    norm_sums = torch.zeros(group.size, dtype=torch.float64)
    for member in group.members:
        if member.side in FILTER_SIDES and _is_conv_or_linear(network, member.owner):
            weight = network.get_parameter(f"{member.owner}.weight").detach()
            filter_norms = weight.flatten(1).abs().sum(1, dtype=torch.float64).cpu()
            positions, channels = torch.tensor(member.pairs).unbind(1)
            norm_sums.index_add_(0, channels, filter_norms[positions])
    return norm_sums.view(group.blocks, -1).mean(0)


def count_initial_outputs(view: NetworkView) -> dict[str, int]:
    """Return the number of outputs that each layer had before the method's first round, by the layer's name."""
    # The header is the parent file's, so its surgery does not have this step's own cuts.
    initial_network = factory.build_architecture(view.header["architecture"], "meta")
    edits.apply_surgery(initial_network, view.header["surgery"])
    return {
        name: module.weight.shape[0]
        for name, module in initial_network.named_modules()
        if isinstance(getattr(module, "weight", None), Tensor)
    }


def select_lowest_positions(group: ChannelGroup, scores: Tensor, count: int) -> list[int]:
    """Return the `count` positions in a block with the lowest scores, in ascending order.

    They are fewer where a layer would lose every channel that it has of the group.

    Args:
        group: the group.
        scores: a score for each position in a block, (size / blocks,).
        count: at most one less than there are positions is used.
    """
    # Stable, so that of equal scores the lower position comes first in every run.
    order = torch.sort(scores, stable=True).indices.tolist()
    limited_count = max(0, min(count, len(order) - 1))
    lowest = order[:limited_count]
    width = group.size // group.blocks
    for member in group.members:
        member_positions = {channel % width for _, channel in member.pairs}
        if member_positions and member_positions <= set(lowest):
            lowest.remove(max(member_positions, key=order.index))
    return sorted(lowest)


def build_cut_decision(
    network: nn.Module, groups: Iterable[ChannelGroup], choice: Mapping[str, Sequence[int]], view: NetworkView
) -> Decision:
    """Return the decision to cut the channels `choice[group.name]` of each group; empty if nothing is cut.

    Raises:
        UserError: the network fails to run when cut.
    """
    cut, values = cut_channels(network, plan_removals(network, groups, choice))
    if not values:
        return Decision()
    try:
        with torch.no_grad():
            output = cut(torch.zeros(2, *view.header["input"]["shape"]))
    except Exception as error:  # a cut network may fail in any way
        name = view.header["architecture"]["name"]
        first_line = str(error).splitlines()[0]
        raise UserError(f"filter pruning does not work on {name}: cut, it fails: {first_line[:160]}") from None
    assert output.shape == (2, view.header["architecture"]["num_classes"])
    return Decision(edits=[resize.build_resize_edit(network, cut)], values=values)


def _is_conv_or_linear(network: nn.Module, name: str) -> bool:
    return isinstance(network.get_submodule(name), nn.modules.conv._ConvNd | nn.Linear)
