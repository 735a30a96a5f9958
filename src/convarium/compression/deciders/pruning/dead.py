"""Remove neurons that no longer matter: those that nothing reads, and constant ones (folded into biases).

A channel of constant value adds a constant to each layer that reads it, which that layer's bias can take over. A trace
can't tell whether only these layers read it (norms over channels, standardised weights, maxima), so a cut is kept only
where the network gives the same logits without it.
"""

from collections.abc import Iterable, Mapping, Sequence
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
    """Cut every channel that only zero filters make or only zero weights read, until there is none left.

    A group stays whole where the logits differ without its dead channels, and so does a network that can't be traced.
    """
    shape = view.header["input"]["shape"]
    network = cuttable_groups.copy_plain_network(view.network)
    try:
        groups = [group for group in cuttable_groups.find_cuttable_groups(network, shape) if _is_foldable(group)]
    except UserError:
        return Decision()

    # Only when asked for: a network without dead channels doesn't need them.
    @cache
    def compute_expected_logits() -> Tensor:
        return cuttable_groups.compute_random_logits(network, shape)

    def is_exact(candidates: Sequence[ChannelGroup]) -> bool:
        folded, removed_channels, _ = _fold_dead_channels(network, candidates, shape)
        cut, cut_values = cut_channels(folded, plan_removals(folded, candidates, removed_channels))
        if not cut_values:
            return True
        logits = cuttable_groups.compute_random_logits(cut, shape)
        return cuttable_groups.has_same_logits(logits, compute_expected_logits())

    exact_groups = cuttable_groups.select_working_subset(groups, is_exact)
    folded, removed_channels, bias_names = _fold_dead_channels(network, exact_groups, shape)
    choice = {name: sorted(channels) for name, channels in removed_channels.items()}
    decision = filter_pruning.build_cut_decision(folded, exact_groups, choice, view)
    # A bias that is cut as well is in both: the decision's value, which has the shorter shape, must win.
    biases = {name: folded.get_parameter(name).detach() for name in bias_names}
    return Decision(edits=decision.edits, values={**biases, **decision.values})


def _is_foldable(group: ChannelGroup) -> bool:
    """Whether the channels can go one by one, and all members are layers, not bare tensors."""
    return group.blocks == 1 and all(member.side != "tensor" for member in group.members)


def _fold_dead_channels(
    network: nn.Module, groups: Sequence[ChannelGroup], shape: list[int]
) -> tuple[nn.Module, RemovedChannels, set[str]]:
    """Return a copy that no longer needs the dead channels of these groups, those channels, and the changed biases."""
    folded = deepcopy(network)
    removed_channels: RemovedChannels = {group.name: set() for group in groups}
    bias_names: set[str] = set()
    # A removal may make others dead: a filter without live inputs is zero, an input of removed filters only is unread.
    while dead_channels := _find_dead_channels(folded, groups, removed_channels, shape):
        for group, channels, constants in dead_channels:
            bias_names |= _fold_into_biases(folded, group, channels, constants)
            removed_channels[group.name] |= channels
        for removal in plan_removals(folded, groups, removed_channels):
            _zero_positions(folded, removal.tensor_name, removal.dimension, removal.positions)
    return folded, removed_channels, bias_names


def _find_dead_channels(
    network: nn.Module, groups: Iterable[ChannelGroup], removed_channels: RemovedChannels, shape: list[int]
) -> list[DeadChannels]:
    """Dead channels of each group that are not removed yet, with the values of the constant ones."""
    inputs = _record_reader_inputs(network, groups, shape)
    dead_channels: list[DeadChannels] = []
    for group in groups:
        removed = removed_channels[group.name]
        constants = _find_constant_channels(network, group, inputs)
        channels = (_find_unread_channels(network, group) | constants.keys()) - removed
        _spare_last_channels(group, channels, removed)
        if channels:
            dead_channels.append((group, channels, constants))
    return dead_channels


def _spare_last_channels(group: ChannelGroup, channels: set[int], removed: set[int]) -> None:
    """Take one channel out of `channels` for each layer that would lose all it has of the group."""
    for member in group.members:
        layer_channels = {channel for _, channel in member.pairs}
        if channels & layer_channels and layer_channels <= channels | removed:
            channels.remove(max(channels & layer_channels))


def _select_readers(group: ChannelGroup) -> list[GroupMember]:
    return [member for member in group.members if member.side == "in"]


def _find_unread_channels(network: nn.Module, group: ChannelGroup) -> set[int]:
    """Channels that all readers multiply by zero; none where no layer reads the group."""
    readers = _select_readers(group)
    if not readers:
        return set()
    read_channels: set[int] = set()
    for member in readers:
        largest_weights = _get_weight(network, member).transpose(0, 1).flatten(1).abs().amax(1)
        read_channels |= {channel for position, channel in member.pairs if float(largest_weights[position]) != 0}
    return set(range(group.size)) - read_channels


def _find_constant_channels(network: nn.Module, group: ChannelGroup, inputs: LayerInputs) -> dict[int, float]:
    """Each channel of zero filters that gives all readers one number which their biases can take over."""
    constants: dict[int, float] = {}
    for channel in sorted(_find_zero_filter_channels(network, group)):
        values = _collect_reader_constants(network, group, channel, inputs)
        if len(set(values)) == 1 and values[0] is not None:
            constants[channel] = values[0]
    return constants


def _collect_reader_constants(
    network: nn.Module, group: ChannelGroup, channel: int, inputs: LayerInputs
) -> list[float | None]:
    """What every reader sees of a channel, in each of its calls; None where it can't be folded into the bias."""
    constants: list[float | None] = []
    for member in _select_readers(group):
        reader = network.get_submodule(member.owner)
        positions = [position for position, member_channel in member.pairs if member_channel == channel]
        for position in positions:
            for layer_input in inputs[member.owner]:
                constants.append(_find_foldable_constant(reader, _select_channel(reader, layer_input, position)))
    return constants


def _select_channel(reader: nn.Module, layer_input: Tensor, position: int) -> Tensor:
    """One channel of a reader's input: (N, C, *space) of a convolution, (N, *space, C) of a linear layer."""
    space_dimensions = len(reader.kernel_size) if isinstance(reader, nn.modules.conv._ConvNd) else 0
    return layer_input.select(-1 - space_dimensions, position)


def _find_zero_filter_channels(network: nn.Module, group: ChannelGroup) -> set[int]:
    """Channels that are made by zero filters only."""
    filter_names = filter_pruning.collect_filter_names(network, group)
    live_channels: set[int] = set()
    for member in group.members:
        if member.side not in filter_pruning.FILTER_SIDES or f"{member.owner}.weight" not in filter_names:
            continue
        largest_weights = _get_weight(network, member).flatten(1).abs().amax(1)
        live_channels |= {channel for position, channel in member.pairs if float(largest_weights[position]) != 0}
    return set(range(group.size)) - live_channels


def _find_foldable_constant(reader: nn.Module, values: Tensor) -> float | None:
    """The one number among a reader's inputs, if the reader's bias can take over what it adds; else None."""
    first = float(values.flatten()[0])
    if bool((values != first).any()):
        return None
    # Zero adds nothing, so it needs no bias.
    if first == 0:
        return first
    # Zeros around the constant make what it adds differ at the border; other padding modes are refused alike.
    is_padded = isinstance(reader, nn.modules.conv._ConvNd) and reader.padding not in (
        "valid",
        (0,) * len(reader.kernel_size),
    )
    return None if reader.bias is None or is_padded else first


def _record_reader_inputs(network: nn.Module, groups: Iterable[ChannelGroup], shape: list[int]) -> LayerInputs:
    """The inputs of every reader, in each of its calls, for two random images."""
    names = {member.owner for group in groups for member in _select_readers(group)}
    inputs: dict[str, list[Tensor]] = {name: [] for name in names}

    def record_input(name: str, _: nn.Module, args: tuple[Tensor, ...], kwargs: Mapping[str, Any]) -> None:
        inputs[name].append(args[0] if args else kwargs["input"])

    hooks = []
    for name in names:
        layer = network.get_submodule(name)
        hooks.append(layer.register_forward_pre_hook(partial(record_input, name), with_kwargs=True))
    with torch.no_grad():
        network(torch.randn(2, *shape, generator=torch.Generator().manual_seed(INPUT_SEED)))
    for hook in hooks:
        hook.remove()
    return inputs


def _fold_into_biases(
    network: nn.Module, group: ChannelGroup, channels: set[int], constants: Mapping[int, float]
) -> set[str]:
    """Add to each reader's bias what the constant channels give it; return the biases' names."""
    bias_names: set[str] = set()
    for member in _select_readers(group):
        weight = _get_weight(network, member)
        bias_name = f"{member.owner}.bias"
        for position, channel in member.pairs:
            constant = constants.get(channel, 0.0)
            if channel not in channels or not constant:
                continue
            contribution = constant * weight[:, position].reshape(len(weight), -1).sum(1)
            with torch.no_grad():
                network.get_parameter(bias_name).add_(contribution)
            bias_names.add(bias_name)
    return bias_names


def _get_weight(network: nn.Module, member: GroupMember) -> Tensor:
    return network.get_parameter(f"{member.owner}.weight").detach()


def _zero_positions(network: nn.Module, name: str, dimension: int, positions: Iterable[int]) -> None:
    parameters = dict(network.named_parameters())
    # A removal may also name a buffer, or a layer that has no tensors.
    if name in parameters:
        with torch.no_grad():
            parameters[name].index_fill_(dimension, torch.tensor(sorted(positions)), 0.0)
