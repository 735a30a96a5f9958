"""Cut channels out of a network, or set them to zero: the same function where nothing mixes all channels."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from convarium.compression import host
from convarium.compression.edits import resize
from convarium.compression.structure.coupling import Group

Choice = Mapping[str, Iterable[int]]


class Uncuttable(Exception):
    """A group that can't lose the channels asked for: the name of the layer where, and why, as its message."""


@dataclass(frozen=True)
class Removal:
    """Positions that a tensor loses along a dimension; `tensor` is a layer's name where the layer has none."""

    tensor: str
    dimension: int
    positions: frozenset[int]


def spread(group: Group, within: Iterable[int]) -> list[int]:
    """Return the channels of a group that lie at the places `within` of each of its blocks."""
    width = group.size // group.blocks
    chosen = sorted(set(within))
    return [block * width + place for block in range(group.blocks) for place in chosen]


def removals(network: nn.Module, groups: Iterable[Group], choice: Choice) -> list[Removal]:
    """Return what goes with the channels `choice[group.name]` of each group.

    Raises:
        Uncuttable: a layer would lose all, or other channels in one of its groups than in the next.
    """
    sides: dict[tuple[str, str, int], set[int]] = {}
    for group in groups:
        channels = set(choice.get(group.name, ()))
        for touch in group.touched if channels else ():
            gone = {position for position, channel in touch.pairs if channel in channels}
            sides.setdefault((touch.owner, touch.side, touch.dimension), set()).update(gone)
    modules, tensors = dict(network.named_modules()), dict(network.named_parameters())
    found = []
    for (owner, side, dimension), gone in sides.items():
        if side == "tensor":
            found.append(_removal(owner, tensors[owner], dimension, gone))
        elif gone:
            found += _of_layer(owner, modules[owner], side, gone)
    return found


def without(network: nn.Module, gone: Iterable[Removal]) -> tuple[nn.Module, dict[str, Tensor]]:
    """Return a cut copy of a plain network, and the tensors that it has another shape of, by name.

    Args:
        network: plain, on the meta device or not; left as it is.
        gone: see `removals`.
    """
    cut = deepcopy(network)
    kept: dict[str, Tensor] = {}
    tensors = dict(network.named_parameters()) | dict(network.named_buffers())
    for removal in gone:
        if removal.tensor not in tensors:
            _narrow(cut.get_submodule(removal.tensor), len(removal.positions))
            continue
        value = kept.get(removal.tensor, tensors[removal.tensor].detach())
        stays = [place for place in range(value.shape[removal.dimension]) if place not in removal.positions]
        index = torch.tensor(stays, device=value.device)
        kept[removal.tensor] = value.index_select(removal.dimension, index)
    _set_sizes(cut, kept)
    host.put(cut, kept)
    return cut, kept


def zeroed(network: nn.Module, gone: Iterable[Removal]) -> nn.Module:
    """Return a copy of a plain network in which what would be cut is zero."""
    copied = deepcopy(network)
    tensors = dict(copied.named_parameters()) | dict(copied.named_buffers())
    with torch.no_grad():
        for removal in gone:
            if removal.tensor in tensors and not removal.tensor.endswith(("running_mean", "running_var")):
                tensors[removal.tensor].index_fill_(removal.dimension, torch.tensor(sorted(removal.positions)), 0.0)
    return copied


def _of_layer(owner: str, layer: nn.Module, side: str, gone: set[int]) -> list[Removal]:
    """What the tensors of a layer lose; a further tensor with a row for each output loses the same rows."""
    held = {**dict(layer.named_parameters(recurse=False)), **dict(layer.named_buffers(recurse=False))}
    prefix = f"{owner}." if owner else ""
    if side == "in":
        local = _local(owner, layer, gone) if isinstance(layer, _ConvNd) else gone
        return [_removal(f"{prefix}weight", held["weight"], 1, local)]
    if isinstance(layer, _ConvNd) and side == "out":
        _local(owner, layer, gone, outputs=True)
    if not held:
        return [_checked(owner, _shape(layer)[0], 0, gone)]
    size = held["weight"].shape[0] if "weight" in held else next(iter(held.values())).shape[0]
    return [
        _removal(f"{prefix}{leaf}", tensor, 0, gone)
        for leaf, tensor in held.items()
        if tensor.dim() and tensor.shape[0] == size
    ]


def _local(owner: str, layer: _ConvNd, gone: set[int], outputs: bool = False) -> set[int]:
    """The positions within a group of a grouped convolution, which must be the same in each."""
    width = (layer.out_channels if outputs else layer.in_channels) // layer.groups
    parts = [{place - group * width for place in gone if place // width == group} for group in range(layer.groups)]
    if any(part != parts[0] for part in parts):
        raise Uncuttable(f"{owner} would lose other channels in one of its {layer.groups} groups than in another")
    return parts[0]


def _removal(name: str, tensor: Tensor, dimension: int, gone: set[int]) -> Removal:
    return _checked(name, tensor.shape[dimension], dimension, gone)


def _checked(name: str, size: int, dimension: int, gone: set[int]) -> Removal:
    if gone and not 0 <= min(gone) <= max(gone) < size:
        raise Uncuttable(f"{name} has no position {max(gone)}: its channels can't be followed")
    if len(gone) >= size:
        raise Uncuttable(f"{name} would lose all of its {size} channels")
    return Removal(name, dimension, frozenset(gone))


def _narrow(layer: nn.Module, fewer: int) -> None:
    """Make a layer without tensors one of `fewer` channels less."""
    first, *others = _shape(layer)
    _set_sizes_of(layer, torch.Size((first - fewer, *others)))


def _shape(layer: nn.Module) -> tuple[int, ...]:
    """The shape that the tensors of a norm have, or would have."""
    if isinstance(layer, nn.LayerNorm):
        return tuple(layer.normalized_shape)
    return (getattr(layer, resize.attributes(layer)[0]),)


def _set_sizes(cut: nn.Module, kept: Mapping[str, Tensor]) -> None:
    """Make the whole numbers of each layer those of the tensors it gets."""
    for name, layer in cut.named_modules():
        prefix = f"{name}." if name else ""
        found = {leaf: kept[f"{prefix}{leaf}"] for leaf in ("weight", "running_mean") if f"{prefix}{leaf}" in kept}
        if found and resize.attributes(layer):
            _set_sizes_of(layer, next(iter(found.values())).shape)


def _set_sizes_of(layer: nn.Module, shape: torch.Size) -> None:
    if isinstance(layer, _ConvNd):
        depthwise = layer.groups == layer.in_channels == layer.out_channels > 1
        layer.groups = shape[0] if depthwise else layer.groups
        layer.out_channels, layer.in_channels = shape[0], shape[1] * layer.groups
    elif isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = shape
    elif isinstance(layer, nn.LayerNorm):
        layer.normalized_shape = tuple(shape)
    else:
        setattr(layer, resize.attributes(layer)[0], shape[0])
