"""Cut the filters with the smallest weights out of the network (Li et al. 2016, section 3).

A filter's score is the sum of its absolute weights. Where filters of several layers make the same channels (residual
stages) Li et al. let the shortcut's projection decide; here all of them do, by the sum of their scores.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import torch
from torch import Tensor, nn

from convarium.compression import sites
from convarium.compression.deciders.interface import Decision, Json, NetworkView
from convarium.compression.sites import Site
from convarium.compression.structure import cuttable_groups, filter_pruning
from convarium.compression.structure.channel_groups import ChannelGroup
from convarium.compression.structure.channel_removal import (
    UncuttableGroup,
    cut_channels,
    expand_to_blocks,
    plan_removals,
)
from convarium.errors import UserError


def filter_l1(view: NetworkView) -> Decision:
    """Cut the filters with the least L1 norms, as `cut_lowest_filters` says."""
    return cut_lowest_filters(view, filter_pruning.sum_l1_norms)


def cut_lowest_filters(view: NetworkView, score_filters: Callable[[nn.Module, ChannelGroup], Tensor]) -> Decision:
    """Leave, after round r of n, a share (1 - channels_removed) ** (r / n) of each group's filters, or of all.

    `scope: layer` is each group's, `scope: global` is of all: a group's scores are divided by their mean. No layer
    loses its last filter.

    Args:
        view: of a method with the knobs of filter_l1.yaml.
        score_filters: gives one score for each place in a block of a group: (size / blocks,), float64.
    """
    network = cuttable_groups.copy_plain_network(view.network)
    groups = filter_pruning.find_prunable_groups(view, network)
    scores = {group.name: score_filters(network, group) for group in groups}
    before = filter_pruning.count_initial_outputs(view)
    counts = _count_removed_globally(view, groups, scores, before) if view.step["scope"] == "global" else None
    choice = {}
    for group in groups:
        share = _share_of_group(view, network, group)
        count = _count_removed_places(group, before, share, view.progress) if counts is None else counts[group.name]
        choice[group.name] = expand_to_blocks(
            group, filter_pruning.select_lowest_places(group, scores[group.name], count)
        )
    return filter_pruning.build_cut_decision(network, groups, choice, view)


def check_step(network: nn.Module, step: Json) -> None:
    """Refuse a network (which may live on the meta device) of which nothing can be cut.

    Raises:
        UserError: it has one layer with weights only, or was tried with images, and no group of channels can go, or
            none by this share, or so much by it that the network takes no single image any more.
    """
    chosen, shape = {site.name for site in sites.resolve_sites(network, step)}, vars(network).get("input_shape")
    if len(sites.resolve_sites(network, {**step, "sites": ["*"], "per_site": {}})) < 2:
        raise UserError(f"{step['method']}: nothing to cut, the network has one layer with weights, its classifier")
    if shape is not None:
        plain = cuttable_groups.copy_plain_network(network)
        groups = filter_pruning.find_groups_within(
            cuttable_groups.find_runnable_groups, plain, shape, chosen, step["method"]
        )
        if "budget" not in step:
            _check_channels_removed(plain, groups, step, shape)


def _check_channels_removed(
    network: nn.Module, groups: Sequence[ChannelGroup], step: Json, shape: Sequence[int]
) -> None:
    """Cut as many filters as the method will, whichever these are."""
    where = f"compression.{step.get('name') or step['method'].rpartition('/')[2]}"
    if step.get("scope") == "global":
        total = sum(group.size for group in groups)
        is_some = round(total * (1 - step["channels_removed"])) <= total - min(group.blocks for group in groups)
        if step["channels_removed"] > 0 and not is_some:
            raise UserError(
                f"{where}.channels_removed={step['channels_removed']} cuts nothing: of {total} filters it leaves all"
            )
        return
    shares = {group.name: _find_share(step, sites.resolve_sites(network, step), network, group) for group in groups}
    counts = {
        group.name: _count_removed_places(group, {group.name: group.size}, shares[group.name], 1.0) for group in groups
    }
    if any(shares.values()) and not any(counts.values()):
        widest = max(group.size // group.blocks for group in groups)
        raise UserError(
            f"{where}.channels_removed={step['channels_removed']} cuts nothing:"
            f" of at most {widest} filters of a layer it leaves all"
        )
    places = {group.name: torch.zeros(group.size // group.blocks) for group in groups}
    choice = {
        one.name: expand_to_blocks(one, filter_pruning.select_lowest_places(one, places[one.name], counts[one.name]))
        for one in groups
    }
    with suppress(UncuttableGroup):
        cut, _ = cut_channels(network, plan_removals(network, groups, choice))
        try:
            cuttable_groups.compute_output(cut, torch.empty(1, *shape, device="meta"))
        except ValueError as error:
            said = str(error).splitlines()[0][:160]
            raise UserError(
                f"{where}.channels_removed={step['channels_removed']} leaves too few channels for one image: {said}"
            ) from None


def _share_of_group(view: NetworkView, network: nn.Module, group: ChannelGroup) -> float:
    """The share of the group's first filters that `per_site` names, else of all."""
    return _find_share(view.step, view.sites, network, group)


def _find_share(step: Json, chosen: Sequence[Site], network: nn.Module, group: ChannelGroup) -> float:
    names = filter_pruning.collect_filter_names(network, group)
    found = [float(sites.get_site_knob(step, "channels_removed", site)) for site in chosen if site.name in names]
    return next((share for share in found if share != step["channels_removed"]), step["channels_removed"])


def _count_removed_places(group: ChannelGroup, before: Mapping[str, int], share: float, progress: float) -> int:
    width = group.size // group.blocks
    return width - max(1, round(before[group.name] // group.blocks * float((1 - share) ** progress)))


def _count_removed_globally(
    view: NetworkView, groups: Sequence[ChannelGroup], scores: Mapping[str, Tensor], before: Mapping[str, int]
) -> dict[str, int]:
    """How many places each group loses when one threshold over all groups decides; a place counts once a block."""
    relative = torch.cat([scores[group.name] / scores[group.name].mean().clamp(min=1e-30) for group in groups])
    owner = [group for group in groups for _ in range(group.size // group.blocks)]
    left = sum(group.size for group in groups)
    target = round(sum(before[group.name] for group in groups) * (1 - view.step["channels_removed"]) ** view.progress)
    counts = {group.name: 0 for group in groups}
    for place in torch.sort(relative, stable=True).indices.tolist():
        group = owner[place]
        if left - group.blocks >= target and counts[group.name] < group.size // group.blocks - 1:
            counts[group.name] += 1
            left -= group.blocks
    return counts
