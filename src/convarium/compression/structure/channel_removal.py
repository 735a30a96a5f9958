"""Cut channels out of a network, or set them to zero: both give the same outputs where nothing mixes all channels."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from convarium.compression.structure.channel_groups import ChannelGroup
from convarium.edits import resize
from convarium.representations import parametrization

ChannelChoice = Mapping[str, Iterable[int]]


class UncuttableGroup(Exception):
    """Raised where a group can't lose the chosen channels; the message names the layer and the reason."""


@dataclass(frozen=True)
class Removal:
    """Positions that a tensor loses along a dimension.

    `tensor_name` is the layer's name where the layer has no tensors (a norm without scales and statistics).
    """

    tensor_name: str
    dimension: int
    positions: frozenset[int]


def expand_to_blocks(group: ChannelGroup, positions: Iterable[int]) -> list[int]:
    """Return the channels of a group at `positions` within each of its blocks."""
    width = group.size // group.blocks
    sorted_positions = sorted(set(positions))
    return [block * width + position for block in range(group.blocks) for position in sorted_positions]


def plan_removals(network: nn.Module, groups: Iterable[ChannelGroup], choice: ChannelChoice) -> list[Removal]:
    """Return what the network's tensors lose if each group loses its channels `choice[group.name]`.

    Raises:
        UncuttableGroup: a layer would lose all channels, or a grouped convolution different ones in each of its
            groups, or a position lies outside its tensor.
    """
    # Several groups may cut the same side of a layer, so what each side loses is collected first.
    positions_by_side: dict[tuple[str, str, int], set[int]] = {}
    for group in groups:
        channels = set(choice.get(group.name, ()))
        if not channels:
            continue
        for member in group.members:
            side_key = (member.owner, member.side, member.dimension)
            positions = {position for position, channel in member.pairs if channel in channels}
            positions_by_side.setdefault(side_key, set()).update(positions)
    modules = dict(network.named_modules())
    parameters = dict(network.named_parameters())
    removals: list[Removal] = []
    for (owner, side, dimension), positions in positions_by_side.items():
        if side == "tensor":
            removals.append(_build_removal(owner, parameters[owner].shape[dimension], dimension, positions))
        elif positions:
            removals += _plan_layer_removals(owner, modules[owner], side, positions)
    return removals


def cut_channels(network: nn.Module, removals: Iterable[Removal]) -> tuple[nn.Module, dict[str, Tensor]]:
    """Return a cut copy of a network, and those of its tensors that are smaller than before, by name.

    Args:
        network: plain, on any device (also meta); not changed.
        removals: from `plan_removals`.
    """
    cut = deepcopy(network)
    cut_tensors: dict[str, Tensor] = {}
    tensors = dict(network.named_parameters()) | dict(network.named_buffers())
    for removal in removals:
        name, dimension = removal.tensor_name, removal.dimension
        if name not in tensors:
            _shrink_layer(cut.get_submodule(name), len(removal.positions))
            continue
        # A weight may lose outputs in one removal, and inputs in another.
        value = cut_tensors.get(name, tensors[name].detach())
        kept_positions = [position for position in range(value.shape[dimension]) if position not in removal.positions]
        index = torch.tensor(kept_positions, device=value.device)
        cut_tensors[name] = value.index_select(dimension, index)
    _update_layer_sizes(cut, cut_tensors)
    parametrization.replace_tensors(cut, cut_tensors)
    return cut, cut_tensors


def zero_channels(network: nn.Module, removals: Iterable[Removal]) -> nn.Module:
    """Return a copy of a plain network in which everything that `removals` would cut is zero, but for statistics."""
    zeroed = deepcopy(network)
    tensors = dict(zeroed.named_parameters()) | dict(zeroed.named_buffers())
    with torch.no_grad():
        for removal in removals:
            name = removal.tensor_name
            if name not in tensors or name.endswith(("running_mean", "running_var")):
                continue
            index = torch.tensor(sorted(removal.positions))
            tensors[name].index_fill_(removal.dimension, index, 0.0)
    return zeroed


def _plan_layer_removals(owner: str, layer: nn.Module, side: str, positions: set[int]) -> list[Removal]:
    """Removals from the tensors of the layer `owner`, if it loses `positions` on a side."""
    tensors = {**dict(layer.named_parameters(recurse=False)), **dict(layer.named_buffers(recurse=False))}
    prefix = f"{owner}." if owner else ""
    if side == "in":
        if isinstance(layer, _ConvNd):
            # The weight of a grouped convolution has only one group's inputs.
            positions = _map_to_conv_group(owner, layer.in_channels, layer.groups, positions)
        return [_build_removal(f"{prefix}weight", tensors["weight"].shape[1], 1, positions)]
    if isinstance(layer, _ConvNd) and side == "out":
        _map_to_conv_group(owner, layer.out_channels, layer.groups, positions)
    if not tensors:
        return [_build_removal(owner, _get_layer_shape(layer)[0], 0, positions)]
    first_tensor = next(iter(tensors.values()))
    size = tensors.get("weight", first_tensor).shape[0]
    # Besides weight and bias, any further tensor with a row for each output loses the same rows.
    return [
        _build_removal(f"{prefix}{leaf}", size, 0, positions)
        for leaf, tensor in tensors.items()
        if tensor.dim() and tensor.shape[0] == size
    ]


def _map_to_conv_group(owner: str, channel_count: int, groups: int, positions: set[int]) -> set[int]:
    """Map positions among all channels of a grouped convolution to those within one group, equal for all groups.

    Raises:
        UncuttableGroup: they are not equal.
    """
    width = channel_count // groups
    positions_by_group: list[set[int]] = []
    for group in range(groups):
        group_positions = {position - group * width for position in positions if position // width == group}
        positions_by_group.append(group_positions)
    first_positions = positions_by_group[0]
    if any(group_positions != first_positions for group_positions in positions_by_group):
        raise UncuttableGroup(f"{owner} would lose other channels in one of its {groups} groups than in another")
    return first_positions


def _build_removal(name: str, size: int, dimension: int, positions: set[int]) -> Removal:
    """Removal from a tensor of `size` positions along `dimension`.

    Raises:
        UncuttableGroup: a position lies outside the tensor, or none would remain.
    """
    if positions and not 0 <= min(positions) <= max(positions) < size:
        raise UncuttableGroup(f"{name} has no position {max(positions)}: its channels can't be followed")
    if len(positions) >= size:
        raise UncuttableGroup(f"{name} would lose all of its {size} channels")
    return Removal(name, dimension, frozenset(positions))


def _shrink_layer(layer: nn.Module, removed_count: int) -> None:
    """Reduce the number of channels of a layer that has no tensors."""
    channel_count, *other_sizes = _get_layer_shape(layer)
    _set_sizes_from_shape(layer, torch.Size((channel_count - removed_count, *other_sizes)))


def _get_layer_shape(layer: nn.Module) -> tuple[int, ...]:
    """Shape that the tensors of a norm have, or would have."""
    if isinstance(layer, nn.LayerNorm):
        return tuple(layer.normalized_shape)
    size_attribute = resize.get_size_attributes(layer)[0]
    return (getattr(layer, size_attribute),)


def _update_layer_sizes(network: nn.Module, cut_tensors: Mapping[str, Tensor]) -> None:
    """Set the size attributes of each layer (`resize.SIZE_ATTRIBUTES`) to the shapes of its cut tensors."""
    for name, layer in network.named_modules():
        if not resize.get_size_attributes(layer):
            continue
        prefix = f"{name}." if name else ""
        tensor = cut_tensors.get(f"{prefix}weight")
        if tensor is None:
            # A batch norm without scales still has its statistics.
            tensor = cut_tensors.get(f"{prefix}running_mean")
        if tensor is not None:
            _set_sizes_from_shape(layer, tensor.shape)


def _set_sizes_from_shape(layer: nn.Module, shape: torch.Size) -> None:
    """Set a layer's size attributes to those of a layer with a weight of `shape`."""
    if isinstance(layer, _ConvNd):
        is_depthwise = layer.groups == layer.in_channels == layer.out_channels > 1
        if is_depthwise:
            layer.groups = shape[0]
        layer.out_channels = shape[0]
        layer.in_channels = shape[1] * layer.groups
    elif isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = shape
    elif isinstance(layer, nn.LayerNorm):
        layer.normalized_shape = tuple(shape)
    else:
        size_attribute = resize.get_size_attributes(layer)[0]
        setattr(layer, size_attribute, shape[0])
