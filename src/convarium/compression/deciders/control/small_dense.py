"""A smaller network of the same architecture, from scratch: the control that every cut network must beat.

Its structure is the full one with the same share of channels less in each group. Its initial weights are those of a
newly built full network in the channels that are left (evenly spaced), times the square root of how many times fewer
inputs a layer has: so each layer passes on the variance that the architecture's own initialisation gives it.
"""

import torch
from torch import Tensor, nn

from convarium.architectures import factory
from convarium.compression.deciders.interface import Decision, Json, NetworkView
from convarium.compression.deciders.pruning import filter_l1
from convarium.compression.structure import cuttable_groups, filter_pruning
from convarium.compression.structure.channel_groups import ChannelGroup
from convarium.compression.structure.channel_removal import cut_channels, expand_to_blocks, plan_removals


def small_dense(view: NetworkView) -> Decision:
    """Cut a share `channels_removed` of the channels of each group, none at 0; every tensor gets a new value."""
    network = cuttable_groups.copy_plain_network(_build_fresh_network(view))
    groups = filter_pruning.find_prunable_groups(view, network) if view.step["channels_removed"] else []
    choice = {
        group.name: expand_to_blocks(group, _select_spaced_places(group, view.step["channels_removed"]))
        for group in groups
    }
    decision = filter_pruning.build_cut_decision(network, groups, choice, view)
    cut, _ = cut_channels(network, plan_removals(network, groups, choice))
    return Decision(edits=decision.edits, values=_rescale_weights(network, cut))


def check_step(network: nn.Module, step: Json) -> None:
    """Refuse a network of which nothing can be cut (see `filter_l1.check_step`), where something is to be."""
    if step["channels_removed"] or "budget" in step:
        filter_l1.check_step(network, step)


def _build_fresh_network(view: NetworkView) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(view.generator.initial_seed())
        return factory.build_architecture(view.header["architecture"])


def _select_spaced_places(group: ChannelGroup, channels_removed: float) -> list[int]:
    """The places that go when the ones that stay are evenly spaced."""
    width = group.size // group.blocks
    stay = max(1, round(width * (1 - channels_removed)))
    kept = {(2 * number + 1) * width // (2 * stay) for number in range(stay)}
    return filter_pruning.select_lowest_places(
        group, torch.tensor([float(place in kept) for place in range(width)]), width - stay
    )


def _rescale_weights(full: nn.Module, cut: nn.Module) -> dict[str, Tensor]:
    """All parameters and buffers of `cut`, weights scaled by sqrt(inputs before / inputs now)."""
    found = {**dict(cut.named_parameters()), **dict(cut.named_buffers())}
    before = dict(full.named_parameters())
    for name, module in cut.named_modules():
        weight = f"{name}.weight" if name else "weight"
        if isinstance(module, nn.modules.conv._ConvNd | nn.Linear) and weight in found:
            fewer = before[weight][0].numel() / found[weight][0].numel()
            found[weight] = found[weight] * fewer**0.5
    return {name: tensor.detach().clone() for name, tensor in found.items() if name in cut.state_dict()}
