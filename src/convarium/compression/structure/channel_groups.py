"""Coupled channels: groups that can only be cut together, found by tracing (Fang et al. 2023, "DepGraph").

torch-pruning traces the network and says how channels go from layer to layer; what depends on one channel is followed
here, each pair of place and channel once, because its own search does not end where slices are added (ReXNet, ResNeSt).
"""

import warnings
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
import torch_pruning
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch_pruning._helpers import _HybridIndex
from torch_pruning.ops import OPTYPE

from convarium.errors import UserError

MAX_PAIRS = 1 << 17
SAME_CHANNEL_LAYERS = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.PReLU)
ChannelPair = tuple[int, int]


@dataclass(frozen=True)
class GroupMember:
    """Positions along one side of a layer, or along a dimension of a tensor, and the channel each one belongs to.

    Attributes:
        owner: name of the layer, or of the parameter where `side` is "tensor".
        side: "out" or "in" of a convolution or linear layer; "both" where they are the same channels (norms,
            depthwise convolutions); "tensor".
        dimension: of the tensor.
        pairs: (position, channel of the group).
    """

    owner: str
    side: str
    dimension: int
    pairs: tuple[ChannelPair, ...]


@dataclass(frozen=True)
class ChannelGroup:
    """Channels of a layer, with all that goes when one of them goes.

    Attributes:
        name: of the layer whose outputs they are.
        size: how many channels.
        blocks: equal parts that must lose the same channels (grouped convolutions, group norms).
        members: where they are found.
        is_uncuttable: it holds the network's outputs, or layers whose channels can't be told apart.
    """

    name: str
    size: int
    blocks: int
    members: tuple[GroupMember, ...]
    is_uncuttable: bool


def trace_groups(network: nn.Module, shape: Sequence[int]) -> list[ChannelGroup]:
    """Return the groups of a plain network, on the meta device as on real tensors, in the order of its layers.

    Args:
        network: in eval mode; left as it is.
        shape: of an image, (channels, height, width).

    Raises:
        UserError: torch-pruning can't trace the network.
    """
    network = deepcopy(network).requires_grad_()
    graph = _build_dependency_graph(network, shape)
    modules = {module: name for name, module in network.named_modules()}
    tensors = {id(tensor): name for name, tensor in network.named_parameters()}
    found, seen = [], set()
    for module, name in modules.items():
        if isinstance(module, _ConvNd | nn.Linear) and module in graph.module2node and name not in seen:
            channels = module.out_channels if isinstance(module, _ConvNd) else module.out_features
            group = _build_group(graph, module, name, channels, _NameLookup(modules, tensors))
            seen |= {touch.owner for touch in group.members if touch.side in ("out", "both")}
            found.append(group)
    return found


@dataclass(frozen=True)
class _NameLookup:
    by_module: dict[nn.Module, str]
    by_tensor_id: dict[int, str]


def _build_dependency_graph(network: nn.Module, shape: Sequence[int]) -> Any:
    """Return torch-pruning's graph; the added zero makes the output a node of its own even behind a linear layer."""
    images = torch.zeros(2, *shape, device=next(network.parameters()).device)
    graph = torch_pruning.DependencyGraph()
    try:
        with torch.enable_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return graph.build_dependency(network, images, output_transform=lambda output: output + 0, verbose=False)
    except Exception as error:  # of many kinds: torch-pruning works out sizes by arithmetic of its own
        raise UserError("its channels can't be followed from layer to layer (by torch-pruning's trace)") from error


def _build_group(graph: Any, root: nn.Module, name: str, size: int, names: _NameLookup) -> ChannelGroup:
    touched: list[GroupMember] = []
    reached = _find_reached_nodes(graph, root, size)
    kept = reached is None or _is_in_attention(graph.model, name)
    for node, handler, pairs in reached or ():
        module = node.module
        if isinstance(module, nn.PReLU) and module.num_parameters == 1:
            continue  # its one slope belongs to no channel
        if node.type == OPTYPE.OUTPUT or any(channel is None or place < 0 for place, channel in pairs):
            kept = True
        elif isinstance(module, nn.Parameter):
            touched.append(GroupMember(names.by_tensor_id[id(module)], "tensor", node.pruning_dim, tuple(pairs)))
        elif module in names.by_module and (side := _find_side(graph, module, handler)):
            touched.append(GroupMember(names.by_module[module], side, 0, tuple(pairs)))
        elif module in names.by_module and next(module.parameters(recurse=False), None) is not None:
            kept = True
    return ChannelGroup(name, size, _count_blocks(touched, names), tuple(touched), kept)


def _is_in_attention(network: nn.Module, name: str) -> bool:
    """Whether a layer lies directly in an attention module, whose heads have fixed sizes."""
    return hasattr(network.get_submodule(name.rpartition(".")[0]), "num_heads")


def _find_reached_nodes(
    graph: Any, root: nn.Module, size: int
) -> list[tuple[Any, Callable[..., Any], list[ChannelPair]]] | None:
    """Return every node, and the side of it, that the outputs of `root` reach, with (position, channel) pairs.

    None where they reach positions that a layer doesn't have, or all of them, as through a convolution over channels,
    or where torch-pruning can't say which.
    """
    start = graph.module2node[root]
    first = graph.get_pruner_of_module(root).prune_out_channels
    found: dict[Any, tuple[Any, Any, dict[_HybridIndex, None]]] = {}
    todo = [(start, first, [_HybridIndex(idx=channel, root_idx=channel) for channel in range(size)])]
    while todo:
        node, handler, indices = todo.pop()
        _, _, known = found.setdefault((node, handler), (node, handler, {}))
        new = [index for index in dict.fromkeys(indices) if index not in known]
        known |= dict.fromkeys(new)
        if any(index.idx >= _get_max_positions(node.module) for index in new):
            return None
        for edge in node.dependencies if new else ():
            if edge.is_triggered_by(handler):
                if len(new) * prod(getattr(mapping, "_stride", 1) for mapping in edge.index_mapping) > MAX_PAIRS:
                    return None
                mapped = _map_indices(edge, new)
                if mapped is None:
                    return None
                todo += [(edge.target, edge.handler, mapped)] if mapped else []
    return [
        (node, handler, [(index.idx, index.root_idx) for index in known]) for node, handler, known in found.values()
    ]


def _get_max_positions(module: nn.Module) -> int:
    """More positions than this no side of a layer has."""
    if isinstance(module, _ConvNd):
        return max(module.in_channels, module.out_channels)
    return max(module.in_features, module.out_features) if isinstance(module, nn.Linear) else MAX_PAIRS


def _map_indices(edge: Any, indices: list[_HybridIndex]) -> list[_HybridIndex] | None:
    try:
        for mapping in edge.index_mapping:
            indices = indices if mapping is None else mapping(indices)
    except (IndexError, TypeError):
        return None
    return indices


def _find_side(graph: Any, module: nn.Module, handler: Callable[..., Any]) -> str | None:
    if isinstance(module, SAME_CHANNEL_LAYERS) or (isinstance(module, _ConvNd) and _is_depthwise(module)):
        return "both"
    if isinstance(module, nn.Linear) or (isinstance(module, _ConvNd) and not _is_unsupported_conv(module)):
        return "out" if graph.is_out_channel_pruning_fn(handler) else "in"
    return None


def _is_depthwise(module: _ConvNd) -> bool:
    return module.groups == module.in_channels == module.out_channels > 1


def _is_unsupported_conv(module: _ConvNd) -> bool:
    """Whether a group of the convolution has one output but several inputs, or it is transposed."""
    return bool(module.transposed) or 1 < module.groups == module.out_channels


def _count_blocks(touched: list[GroupMember], names: _NameLookup) -> int:
    layers = {name: module for module, name in names.by_module.items()}
    found = [layers[touch.owner] for touch in touched if touch.side != "tensor"]
    counts = [layer.groups for layer in found if isinstance(layer, _ConvNd) and not _is_depthwise(layer)]
    return max([1, *counts, *(layer.num_groups for layer in found if isinstance(layer, nn.GroupNorm))])
