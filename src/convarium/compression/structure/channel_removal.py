"""Cut channels out of a network, or set them to zero: the same function where nothing mixes all channels."""

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
    """A group that can't lose the channels asked for: the name of the layer where, and why, as its message."""


@dataclass(frozen=True)
class Removal:
    """Positions that a tensor loses along a dimension; `tensor_name` is a layer's name where the layer has none."""

    tensor_name: str
    dimension: int
    positions: frozenset[int]


def expand_to_blocks(group: ChannelGroup, places: Iterable[int]) -> list[int]:
    """Return the channels of a group that lie at the places `places` of each of its blocks."""
    width = group.size // group.blocks
    chosen = sorted(set(places))
    return [block * width + place for block in range(group.blocks) for place in chosen]


def plan_removals(network: nn.Module, groups: Iterable[ChannelGroup], choice: ChannelChoice) -> list[Removal]:
    """Return what goes with the channels `choice[group.name]` of each group.

    Raises:
        Uncuttable: a layer would lose all, or other channels in one of its groups than in the next.
    """
    sides: dict[tuple[str, str, int], set[int]] = {}
    for group in groups:
        channels = set(choice.get(group.name, ()))
        for touch in group.members if channels else ():
            gone = {position for position, channel in touch.pairs if channel in channels}
            sides.setdefault((touch.owner, touch.side, touch.dimension), set()).update(gone)
    modules, tensors = dict(network.named_modules()), dict(network.named_parameters())
    found = []
    for (owner, side, dimension), gone in sides.items():
        if side == "tensor":
            found.append(_build_removal(owner, tensors[owner], dimension, gone))
        elif gone:
            found += _plan_layer_removals(owner, modules[owner], side, gone)
    return found


def cut_channels(network: nn.Module, removals: Iterable[Removal]) -> tuple[nn.Module, dict[str, Tensor]]:
    """Return a cut copy of a plain network, and the tensors that it has another shape of, by name.

    Args:
        network: plain, on the meta device or not; left as it is.
        removals: see `plan_removals`.
    """
    cut = deepcopy(network)
    kept: dict[str, Tensor] = {}
    tensors = dict(network.named_parameters()) | dict(network.named_buffers())
    for removal in removals:
        if removal.tensor_name not in tensors:
            _shrink_layer(cut.get_submodule(removal.tensor_name), len(removal.positions))
            continue
        value = kept.get(removal.tensor_name, tensors[removal.tensor_name].detach())
        stays = [place for place in range(value.shape[removal.dimension]) if place not in removal.positions]
        index = torch.tensor(stays, device=value.device)
        kept[removal.tensor_name] = value.index_select(removal.dimension, index)
    _update_layer_sizes(cut, kept)
    parametrization.replace_tensors(cut, kept)
    return cut, kept


def zero_channels(network: nn.Module, removals: Iterable[Removal]) -> nn.Module:
    """Return a copy of a plain network in which what would be cut is zero."""
    copied = deepcopy(network)
    tensors = dict(copied.named_parameters()) | dict(copied.named_buffers())
    with torch.no_grad():
        for removal in removals:
            if removal.tensor_name in tensors and not removal.tensor_name.endswith(("running_mean", "running_var")):
                tensors[removal.tensor_name].index_fill_(
                    removal.dimension, torch.tensor(sorted(removal.positions)), 0.0
                )
    return copied


def _plan_layer_removals(owner: str, layer: nn.Module, side: str, gone: set[int]) -> list[Removal]:
    """What the tensors of a layer lose; a further tensor with a row for each output loses the same rows."""
    held = {**dict(layer.named_parameters(recurse=False)), **dict(layer.named_buffers(recurse=False))}
    prefix = f"{owner}." if owner else ""
    if side == "in":
        local = _map_to_conv_group(owner, layer, gone) if isinstance(layer, _ConvNd) else gone
        return [_build_removal(f"{prefix}weight", held["weight"], 1, local)]
    if isinstance(layer, _ConvNd) and side == "out":
        _map_to_conv_group(owner, layer, gone, outputs=True)
    if not held:
        return [_check_removal(owner, _get_layer_shape(layer)[0], 0, gone)]
    size = held["weight"].shape[0] if "weight" in held else next(iter(held.values())).shape[0]
    return [
        _build_removal(f"{prefix}{leaf}", tensor, 0, gone)
        for leaf, tensor in held.items()
        if tensor.dim() and tensor.shape[0] == size
    ]


def _map_to_conv_group(owner: str, layer: _ConvNd, gone: set[int], outputs: bool = False) -> set[int]:
    """The positions within a group of a grouped convolution, which must be the same in each."""
    width = (layer.out_channels if outputs else layer.in_channels) // layer.groups
    parts = [{place - group * width for place in gone if place // width == group} for group in range(layer.groups)]
    if any(part != parts[0] for part in parts):
        raise UncuttableGroup(f"{owner} would lose other channels in one of its {layer.groups} groups than in another")
    return parts[0]


def _build_removal(name: str, tensor: Tensor, dimension: int, gone: set[int]) -> Removal:
    return _check_removal(name, tensor.shape[dimension], dimension, gone)


def _check_removal(name: str, size: int, dimension: int, gone: set[int]) -> Removal:
    if gone and not 0 <= min(gone) <= max(gone) < size:
        raise UncuttableGroup(f"{name} has no position {max(gone)}: its channels can't be followed")
    if len(gone) >= size:
        raise UncuttableGroup(f"{name} would lose all of its {size} channels")
    return Removal(name, dimension, frozenset(gone))


def _shrink_layer(layer: nn.Module, removed_count: int) -> None:
    """Make a layer without tensors one of `removed_count` channels less."""
    first, *others = _get_layer_shape(layer)
    _set_sizes_from_shape(layer, torch.Size((first - removed_count, *others)))


def _get_layer_shape(layer: nn.Module) -> tuple[int, ...]:
    """The shape that the tensors of a norm have, or would have."""
    if isinstance(layer, nn.LayerNorm):
        return tuple(layer.normalized_shape)
    return (getattr(layer, resize.get_size_attributes(layer)[0]),)


def _update_layer_sizes(cut: nn.Module, kept: Mapping[str, Tensor]) -> None:
    """Make the whole numbers of each layer those of the tensors it gets."""
    for name, layer in cut.named_modules():
        prefix = f"{name}." if name else ""
        found = {leaf: kept[f"{prefix}{leaf}"] for leaf in ("weight", "running_mean") if f"{prefix}{leaf}" in kept}
        if found and resize.get_size_attributes(layer):
            _set_sizes_from_shape(layer, next(iter(found.values())).shape)


def _set_sizes_from_shape(layer: nn.Module, shape: torch.Size) -> None:
    if isinstance(layer, _ConvNd):
        depthwise = layer.groups == layer.in_channels == layer.out_channels > 1
        layer.groups = shape[0] if depthwise else layer.groups
        layer.out_channels, layer.in_channels = shape[0], shape[1] * layer.groups
    elif isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = shape
    elif isinstance(layer, nn.LayerNorm):
        layer.normalized_shape = tuple(shape)
    else:
        setattr(layer, resize.get_size_attributes(layer)[0], shape[0])
