"""A smaller network of the same architecture, from scratch: the control that every cut network must beat.

Its structure is the full one with the same share of channels removed from each group. Its initial weights are those of
a newly built full network in the channels that are kept (evenly spaced), times sqrt(inputs before / inputs now) of each
layer: so each layer passes on the variance that the architecture's own initialisation gives it.
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
    share = view.step["channels_removed"]
    network = cuttable_groups.copy_plain_network(_build_fresh_network(view))
    groups = filter_pruning.find_prunable_groups(view, network) if share else []
    choice: dict[str, list[int]] = {}
    for group in groups:
        choice[group.name] = expand_to_blocks(group, _select_removed_positions(group, share))
    decision = filter_pruning.build_cut_decision(network, groups, choice, view)
    cut, _ = cut_channels(network, plan_removals(network, groups, choice))
    return Decision(edits=decision.edits, values=_rescale_weights(network, cut))


def check_step(network: nn.Module, step: Json) -> None:
    """Refuse a network of which nothing can be cut (see `filter_l1.check_step`), where something is to be.

    Raises:
        UserError: what `filter_l1.check_step` raises.
    """
    if step["channels_removed"] or "budget" in step:
        filter_l1.check_step(network, step)


def _build_fresh_network(view: NetworkView) -> nn.Module:
    """The view's architecture with new initial weights, drawn from the decider's own seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(view.generator.initial_seed())
        return factory.build_architecture(view.header["architecture"])


def _select_removed_positions(group: ChannelGroup, channels_removed: float) -> list[int]:
    """The positions to remove from each block, so that the kept ones are evenly spaced."""
    width = group.size // group.blocks
    kept_count = max(1, round(width * (1 - channels_removed)))
    # The middles of `kept_count` equal parts of the block.
    kept_positions = {(2 * part + 1) * width // (2 * kept_count) for part in range(kept_count)}
    scores = torch.tensor([float(position in kept_positions) for position in range(width)])
    # Not simply all others: this spares the last channel of a layer that has few channels of the group.
    return filter_pruning.select_lowest_positions(group, scores, width - kept_count)


def _rescale_weights(full: nn.Module, cut: nn.Module) -> dict[str, Tensor]:
    """All parameters and buffers of `cut` that a file holds, weights times sqrt(inputs before / inputs now)."""
    tensors = dict(cut.named_parameters()) | dict(cut.named_buffers())
    full_parameters = dict(full.named_parameters())
    for module_name, module in cut.named_modules():
        name = f"{module_name}.weight" if module_name else "weight"
        # A tied weight is in `named_parameters` under one name only, and so is scaled once.
        if isinstance(module, nn.modules.conv._ConvNd | nn.Linear) and name in tensors:
            input_ratio = full_parameters[name][0].numel() / tensors[name][0].numel()
            tensors[name] = tensors[name] * input_ratio**0.5
    # A buffer that isn't persistent is not in the state dict.
    saved_names = cut.state_dict().keys()
    return {name: tensor.detach().clone() for name, tensor in tensors.items() if name in saved_names}
