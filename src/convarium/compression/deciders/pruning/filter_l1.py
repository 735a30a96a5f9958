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
    """Cut the filters with the least L1 norms, see `cut_lowest_filters`."""
    return cut_lowest_filters(view, filter_pruning.sum_l1_norms)


def cut_lowest_filters(view: NetworkView, score_filters: Callable[[nn.Module, ChannelGroup], Tensor]) -> Decision:
    """Cut the filters with the lowest scores; after round r of n a share (1 - channels_removed) ** (r / n) is left.

    With `scope: layer` this is the share of each group's filters. With `scope: global` it is that of all filters, and
    the scores of a group are divided by their mean. No layer loses its last filter.

    Args:
        view: of a method with the knobs of filter_l1.yaml.
        score_filters: gives one score for each position in a block of a group: (size / blocks,), float64.
    """
    network = cuttable_groups.copy_plain_network(view.network)
    groups = filter_pruning.find_prunable_groups(view, network)
    scores = {group.name: score_filters(network, group) for group in groups}
    initial_widths = filter_pruning.count_initial_outputs(view)
    if view.step["scope"] == "global":
        removed_counts = _count_removed_globally(view, groups, scores, initial_widths)
    else:
        removed_counts = {}
        for group in groups:
            share = _find_share(view.step, view.sites, network, group)
            initial_width = initial_widths[group.name]
            removed_counts[group.name] = _count_removed_positions(group, initial_width, share, view.progress)
    choice = _select_channels(groups, scores, removed_counts)
    return filter_pruning.build_cut_decision(network, groups, choice, view)


def check_step(network: nn.Module, step: Json) -> None:
    """Refuse a network (which may live on the meta device) of which nothing can be cut.

    Raises:
        UserError: the network has one layer with weights only. Or, where it knows its `input_shape`: no group of
            channels can be cut, or `channels_removed` cuts none, or so many that not even one image passes.
    """
    candidate_sites = sites.resolve_sites(network, step)
    if len(sites.resolve_sites(network, {**step, "sites": ["*"], "per_site": {}})) < 2:
        raise UserError(f"{step['method']}: nothing to cut, the network has one layer with weights, its classifier")
    shape = vars(network).get("input_shape")
    if shape is None:
        return
    plain_network = cuttable_groups.copy_plain_network(network)
    groups = filter_pruning.find_groups_within(
        cuttable_groups.find_runnable_groups,
        plain_network,
        shape,
        {site.name for site in candidate_sites},
        step["method"],
    )
    # With a budget the solver chooses the share, so the one written here says nothing.
    if "budget" not in step:
        _check_channels_removed(plain_network, groups, step, shape)


def _check_channels_removed(
    network: nn.Module, groups: Sequence[ChannelGroup], step: Json, shape: Sequence[int]
) -> None:
    """Refuse a share that cuts no filter, or too many for the network to run."""
    method_name = step.get("name") or step["method"].rpartition("/")[2]
    setting = f"compression.{method_name}.channels_removed={step['channels_removed']}"
    if step.get("scope") == "global":
        _check_global_share(groups, step["channels_removed"], setting)
        return
    candidate_sites = sites.resolve_sites(network, step)
    shares = {group.name: _find_share(step, candidate_sites, network, group) for group in groups}
    removed_counts = {
        group.name: _count_removed_positions(group, group.size, shares[group.name], progress=1.0) for group in groups
    }
    if any(shares.values()) and not any(removed_counts.values()):
        widest = max(group.size // group.blocks for group in groups)
        raise UserError(f"{setting} cuts nothing: of at most {widest} filters of a layer it leaves all")
    _check_cut_network_runs(network, groups, removed_counts, shape, setting)


def _check_global_share(groups: Sequence[ChannelGroup], share: float, setting: str) -> None:
    total = sum(group.size for group in groups)
    smallest_cut = min(group.blocks for group in groups)
    is_cutting = round(total * (1 - share)) <= total - smallest_cut
    if share > 0 and not is_cutting:
        raise UserError(f"{setting} cuts nothing: of {total} filters it leaves all")


def _check_cut_network_runs(
    network: nn.Module,
    groups: Sequence[ChannelGroup],
    removed_counts: Mapping[str, int],
    shape: Sequence[int],
    setting: str,
) -> None:
    """Refuse a share after which not even one image passes, tried on the meta device with as many filters removed."""
    # Any scores do: whether the network runs depends on how many filters go, not on which.
    scores = {group.name: torch.zeros(group.size // group.blocks) for group in groups}
    choice = _select_channels(groups, scores, removed_counts)
    # Whether a group is uncuttable depends on which filters go, so these scores say nothing about it.
    with suppress(UncuttableGroup):
        cut, _ = cut_channels(network, plan_removals(network, groups, choice))
        try:
            cuttable_groups.compute_output(cut, torch.empty(1, *shape, device="meta"))
        except ValueError as error:
            reason = str(error).splitlines()[0][:160]
            raise UserError(f"{setting} leaves too few channels for one image: {reason}") from None


def _select_channels(
    groups: Sequence[ChannelGroup], scores: Mapping[str, Tensor], removed_counts: Mapping[str, int]
) -> dict[str, list[int]]:
    """The channels of each group to cut: those at its `removed_counts` positions of lowest scores, in all blocks."""
    choice: dict[str, list[int]] = {}
    for group in groups:
        positions = filter_pruning.select_lowest_positions(group, scores[group.name], removed_counts[group.name])
        choice[group.name] = expand_to_blocks(group, positions)
    return choice


def _find_share(step: Json, candidate_sites: Sequence[Site], network: nn.Module, group: ChannelGroup) -> float:
    """The first share that `per_site` gives one of the group's filters, else `channels_removed`."""
    default: float = step["channels_removed"]
    filter_names = filter_pruning.collect_filter_names(network, group)
    for site in candidate_sites:
        if site.name not in filter_names:
            continue
        share = float(sites.get_site_knob(step, "channels_removed", site))
        if share != default:
            return share
    return default


def _count_removed_positions(group: ChannelGroup, initial_width: int, share: float, progress: float) -> int:
    """How many positions of a block go now, so that (1 - share) ** progress of `initial_width` channels are left."""
    width = group.size // group.blocks
    kept = max(1, round(initial_width // group.blocks * float((1 - share) ** progress)))
    return width - kept


def _count_removed_globally(
    view: NetworkView, groups: Sequence[ChannelGroup], scores: Mapping[str, Tensor], initial_widths: Mapping[str, int]
) -> dict[str, int]:
    """How many positions (one channel a block) each group loses when one threshold over all groups decides."""
    relative_scores = torch.cat([_divide_by_mean(scores[group.name]) for group in groups])
    group_of_score = [group for group in groups for _ in range(group.size // group.blocks)]
    remaining = sum(group.size for group in groups)
    initial_total = sum(initial_widths[group.name] for group in groups)
    target = round(initial_total * (1 - view.step["channels_removed"]) ** view.progress)
    removed_counts = {group.name: 0 for group in groups}
    ascending_indices = torch.sort(relative_scores, stable=True).indices.tolist()
    for index in ascending_indices:
        group = group_of_score[index]
        width = group.size // group.blocks
        has_other_positions = removed_counts[group.name] < width - 1
        if remaining - group.blocks >= target and has_other_positions:
            removed_counts[group.name] += 1
            remaining -= group.blocks
    return removed_counts


def _divide_by_mean(scores: Tensor) -> Tensor:
    """Scores that can be compared between groups; those of a group of zero filters stay zero."""
    return scores / scores.mean().clamp(min=1e-30)
