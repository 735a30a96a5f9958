"""Remove neurons that no longer matter: what nothing reads, and what always gives the same (folded into biases).

What a channel of constant value adds to each layer that reads it is a constant, which that layer's bias takes over. A
trace can't tell whether only these layers read it (norms over channels, standardised weights, maxima), so a cut is kept
only where the network gives the same logits without it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from convarium.compression.deciders.interface import Decision, NetworkView
from convarium.compression.structure import cuttable_groups, filter_pruning
from convarium.compression.structure.channel_groups import ChannelGroup, GroupMember
from convarium.compression.structure.channel_removal import cut_channels, plan_removals
from convarium.errors import UserError

INPUT_SEED = 0
RemovedChannels = dict[str, set[int]]
LayerInputs = Mapping[str, list[Tensor]]
DeadChannels = tuple[ChannelGroup, set[int], Mapping[int, float]]


def dead(view: NetworkView) -> Decision:
    """Cut every channel whose filters are all zero, or which is read by zeros only, until there is no other.

    Groups of channels without which the logits are others stay whole, as do all of a network that can't be traced.
    """
    shape = view.header["input"]["shape"]
    network = cuttable_groups.copy_plain_network(view.network)
    try:
        groups = [
            group
            for group in cuttable_groups.find_cuttable_groups(network, shape)
            if group.blocks == 1 and _has_only_layers(group)
        ]
    except UserError:
        return Decision()

    expected = cache(partial(cuttable_groups.compute_random_logits, network, shape))

    def is_exact(chosen: Sequence[ChannelGroup]) -> bool:
        folded, gone, _ = _fold_dead_channels(network, chosen, shape)
        cut, values = cut_channels(folded, plan_removals(folded, chosen, gone))
        return not values or cuttable_groups.has_same_logits(
            cuttable_groups.compute_random_logits(cut, shape), expected()
        )

    kept = cuttable_groups.select_working_subset(groups, is_exact)
    folded, gone, biases = _fold_dead_channels(network, kept, shape)
    decision = filter_pruning.build_cut_decision(
        folded, kept, {name: sorted(channels) for name, channels in gone.items()}, view
    )
    changed = {name: folded.get_parameter(name).detach() for name in biases}
    return Decision(edits=decision.edits, values={**changed, **decision.values})


def _fold_dead_channels(
    network: nn.Module, groups: Sequence[ChannelGroup], shape: list[int]
) -> tuple[nn.Module, RemovedChannels, set[str]]:
    """Return a copy that no longer needs the dead channels of these groups, those channels, and the changed biases."""
    folded = deepcopy(network)
    gone: RemovedChannels = {group.name: set() for group in groups}
    biases: set[str] = set()
    while new := _find_dead_channels(folded, groups, gone, shape):
        for group, channels, constants in new:
            biases |= _fold_into_biases(folded, group, channels, constants)
            gone[group.name] |= channels
        for removal in plan_removals(folded, groups, gone):
            _zero_positions(folded, removal.tensor_name, removal.dimension, removal.positions)
    return folded, gone, biases


def _find_dead_channels(
    network: nn.Module, groups: Iterable[ChannelGroup], gone: Mapping[str, set[int]], shape: list[int]
) -> list[DeadChannels]:
    """Dead channels that are not gone yet, with what the constant ones give; every layer keeps one of its channels."""
    inputs = _record_reader_inputs(network, groups, shape)
    found: list[DeadChannels] = []
    for group in groups:
        constants = {
            channel: value for channel, value in _iterate_constant_channels(network, group, inputs) if value is not None
        }
        channels = (_find_unread_channels(network, group) | constants.keys()) - gone[group.name]
        for touch in group.members:
            of_layer = {channel for _, channel in touch.pairs}
            if channels & of_layer and of_layer <= channels | gone[group.name]:
                channels.remove(max(channels & of_layer))
        if channels:
            found.append((group, channels, constants))
    return found


def _has_only_layers(group: ChannelGroup) -> bool:
    return all(touch.side != "tensor" for touch in group.members)


def _select_readers(group: ChannelGroup) -> list[GroupMember]:
    return [touch for touch in group.members if touch.side == "in"]


def _find_unread_channels(network: nn.Module, group: ChannelGroup) -> set[int]:
    """Channels that all readers multiply by zero."""
    read: set[int] = set()
    for touch in _select_readers(group):
        size = _get_weight(network, touch).transpose(0, 1).flatten(1).abs().amax(1)
        read |= {channel for place, channel in touch.pairs if float(size[place]) != 0}
    return set(range(group.size)) - read if _select_readers(group) else set()


def _iterate_constant_channels(
    network: nn.Module, group: ChannelGroup, inputs: LayerInputs
) -> Iterator[tuple[int, float | None]]:
    """Each channel whose filters are all zero, and the number that all readers see; None where they can't take it."""
    for channel in sorted(_find_zero_filter_channels(network, group)):
        values = [
            _find_foldable_constant(reader, _select_channel(reader, given, place))
            for touch in _select_readers(group)
            for reader in [network.get_submodule(touch.owner)]
            for place, of in touch.pairs
            if of == channel
            for given in inputs[touch.owner]
        ]
        yield channel, values[0] if len(set(values)) == 1 else None


def _select_channel(reader: nn.Module, given: Tensor, place: int) -> Tensor:
    """One channel of a reader's input: (N, C, *positions) of a convolution, (N, *positions, C) of a linear layer."""
    positions = len(reader.kernel_size) if isinstance(reader, nn.modules.conv._ConvNd) else 0
    return given.select(-1 - positions, place)


def _find_zero_filter_channels(network: nn.Module, group: ChannelGroup) -> set[int]:
    """Channels that are made by zero filters only."""
    made: set[int] = set()
    for touch in group.members:
        if touch.side in filter_pruning.FILTER_SIDES and f"{touch.owner}.weight" in filter_pruning.collect_filter_names(
            network, group
        ):
            size = _get_weight(network, touch).flatten(1).abs().amax(1)
            made |= {channel for place, channel in touch.pairs if float(size[place]) != 0}
    return set(range(group.size)) - made


def _find_foldable_constant(reader: nn.Module, values: Tensor) -> float | None:
    """The constant among a reader's inputs if its bias can take over what it does with it."""
    first = float(values.flatten()[0])
    if bool((values != first).any()):
        return None
    padded = isinstance(reader, nn.modules.conv._ConvNd) and reader.padding not in (
        "valid",
        (0,) * len(reader.kernel_size),
    )
    return first if first == 0 or (reader.bias is not None and not padded) else None


def _record_reader_inputs(network: nn.Module, groups: Iterable[ChannelGroup], shape: list[int]) -> LayerInputs:
    """What every reader is given, in each of its calls, for two random images."""
    names = {touch.owner for group in groups for touch in _select_readers(group)}
    seen: dict[str, list[Tensor]] = {name: [] for name in names}

    def keep(name: str, _: nn.Module, given: tuple[Tensor, ...], named: Mapping[str, Any]) -> None:
        seen[name].append(given[0] if given else named["input"])

    hooks = [
        network.get_submodule(name).register_forward_pre_hook(partial(keep, name), with_kwargs=True) for name in names
    ]
    with torch.no_grad():
        network(torch.randn(2, *shape, generator=torch.Generator().manual_seed(INPUT_SEED)))
    for hook in hooks:
        hook.remove()
    return seen


def _fold_into_biases(
    network: nn.Module, group: ChannelGroup, channels: set[int], constants: Mapping[int, float]
) -> set[str]:
    """Add to each reader's bias what the constant channels give it; return the biases' names."""
    changed: set[str] = set()
    for touch in _select_readers(group):
        weight = _get_weight(network, touch)
        for place, channel in touch.pairs:
            value = constants.get(channel, 0.0)
            if channel in channels and value:
                with torch.no_grad():
                    added = value * weight[:, place].reshape(len(weight), -1).sum(1)
                    network.get_parameter(f"{touch.owner}.bias").add_(added)
                changed.add(f"{touch.owner}.bias")
    return changed


def _get_weight(network: nn.Module, touch: GroupMember) -> Tensor:
    return network.get_parameter(f"{touch.owner}.weight").detach()


def _zero_positions(network: nn.Module, name: str, dimension: int, positions: Iterable[int]) -> None:
    parameters = dict(network.named_parameters())
    if name in parameters:
        with torch.no_grad():
            parameters[name].index_fill_(dimension, torch.tensor(sorted(positions)), 0.0)
