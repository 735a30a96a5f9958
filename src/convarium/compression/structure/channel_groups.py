"""Coupled channels: groups that can only be cut together, found by tracing (Fang et al. 2023, "DepGraph").

torch-pruning traces the network and gives the graph of how channels pass from layer to layer. This module follows the
graph from each channel and visits each pair of position and channel once: torch-pruning's own search does not end where
slices are added (ReXNet, ResNeSt).
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

# Pairs beyond which a search is given up: a flatten turns each channel into height * width positions.
MAX_PAIRS = 1 << 17
SAME_CHANNEL_LAYERS = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.PReLU)
ChannelPair = tuple[int, int]
ReachedNode = tuple[Any, Callable[..., Any], list[ChannelPair]]


@dataclass(frozen=True)
class GroupMember:
    """Positions along a side of a layer, or along a dimension of a parameter, and the channel that each belongs to.

    Attributes:
        owner: name of the layer, or of the parameter if `side` is "tensor".
        side: "out" or "in" for the outputs or inputs of a convolution or linear layer; "both" for a layer where they
            are the same channels (norms, depthwise convolutions); "tensor" for a parameter outside such layers.
        dimension: dimension of the parameter if `side` is "tensor", else 0.
        pairs: (position, channel of the group).
    """

    owner: str
    side: str
    dimension: int
    pairs: tuple[ChannelPair, ...]


@dataclass(frozen=True)
class ChannelGroup:
    """The output channels of a layer, with everything that must be cut along with them.

    Attributes:
        name: name of the layer.
        size: number of channels.
        blocks: number of equal parts of the channels that must lose the same ones (grouped convolutions, group norms).
        members: every side of a layer and every parameter that has these channels.
        is_uncuttable: whether the group reaches the network's outputs, or something whose channels can't be followed.
    """

    name: str
    size: int
    blocks: int
    members: tuple[GroupMember, ...]
    is_uncuttable: bool


def trace_groups(network: nn.Module, shape: Sequence[int]) -> list[ChannelGroup]:
    """Return the groups of a plain network, in the order of its layers.

    Args:
        network: in eval mode, on any device (also meta); not changed.
        shape: shape of an image, (channels, height, width).

    Raises:
        UserError: torch-pruning can't trace the network.
    """
    # torch-pruning follows the autograd graph, which frozen parameters would leave out.
    network = deepcopy(network).requires_grad_()
    graph = _build_dependency_graph(network, shape)
    names = _NameLookup(
        by_module={module: name for name, module in network.named_modules()},
        by_tensor_id={id(tensor): name for name, tensor in network.named_parameters()},
    )
    groups: list[ChannelGroup] = []
    grouped_owners: set[str] = set()
    for module, name in names.by_module.items():
        if not isinstance(module, _ConvNd | nn.Linear):
            continue
        if module not in graph.module2node or name in grouped_owners:
            continue
        size = module.out_channels if isinstance(module, _ConvNd) else module.out_features
        group = _build_group(graph, module, name, size, names)
        grouped_owners |= {member.owner for member in group.members if member.side in ("out", "both")}
        groups.append(group)
    return groups


@dataclass(frozen=True)
class _NameLookup:
    """Names of a network's modules and parameters."""

    by_module: dict[nn.Module, str]
    by_tensor_id: dict[int, str]


def _build_dependency_graph(network: nn.Module, shape: Sequence[int]) -> Any:
    """torch-pruning's graph of the network."""
    images = torch.zeros(2, *shape, device=next(network.parameters()).device)
    graph = torch_pruning.DependencyGraph()

    def add_zero(output: Any) -> Any:
        # Makes the output a node of its own, also where a linear layer is the last operation.
        return output + 0

    try:
        with torch.enable_grad(), warnings.catch_warnings():
            # It warns of unknown operations and of parameters outside layers; `cuttable_groups` tries the groups out.
            warnings.simplefilter("ignore")
            return graph.build_dependency(network, images, output_transform=add_zero, verbose=False)
    except Exception as error:  # of many types: torch-pruning derives sizes by arithmetic that can fail anywhere
        raise UserError("its channels can't be followed from layer to layer (by torch-pruning's trace)") from error


def _build_group(graph: Any, root: nn.Module, name: str, size: int, names: _NameLookup) -> ChannelGroup:
    """Group of the output channels of `root`, which is the layer `name`."""
    members: list[GroupMember] = []
    reached_nodes = _find_reached_nodes(graph, root, size)
    is_uncuttable = reached_nodes is None or _is_in_attention(graph.model, name)
    for node, handler, pairs in reached_nodes or ():
        module = node.module
        if isinstance(module, nn.PReLU) and module.num_parameters == 1:
            continue  # its one slope belongs to no channel
        has_unknown_channel = any(channel is None or position < 0 for position, channel in pairs)
        if node.type == OPTYPE.OUTPUT or has_unknown_channel:
            is_uncuttable = True
        elif isinstance(module, nn.Parameter):
            owner = names.by_tensor_id[id(module)]
            members.append(GroupMember(owner, "tensor", node.pruning_dim, tuple(pairs)))
        elif module in names.by_module:
            side = _find_side(graph, module, handler)
            if side is not None:
                members.append(GroupMember(names.by_module[module], side, 0, tuple(pairs)))
            elif list(module.parameters(recurse=False)):
                is_uncuttable = True
    return ChannelGroup(name, size, _count_blocks(members, names), tuple(members), is_uncuttable)


def _is_in_attention(network: nn.Module, name: str) -> bool:
    """Whether a layer's parent is an attention module, whose heads have fixed sizes."""
    parent_name, _, _ = name.rpartition(".")
    return hasattr(network.get_submodule(parent_name), "num_heads")


def _find_reached_nodes(graph: Any, root: nn.Module, size: int) -> list[ReachedNode] | None:
    """Nodes of the graph that the outputs of `root` reach, each with its handler and (position, channel) pairs.

    A handler is torch-pruning's function that would prune the node, one for its inputs and one for its outputs.
    None if the outputs reach positions that a layer doesn't have, or more than MAX_PAIRS pairs, or if torch-pruning
    can't map them.
    """
    root_node = graph.module2node[root]
    root_handler = graph.get_pruner_of_module(root).prune_out_channels
    root_indices = [_HybridIndex(idx=channel, root_idx=channel) for channel in range(size)]
    # Dicts in place of sets: they keep the order in which pairs were reached.
    indices_by_node: dict[tuple[Any, Callable[..., Any]], dict[_HybridIndex, None]] = {}
    pending = [(root_node, root_handler, root_indices)]
    while pending:
        node, handler, indices = pending.pop()
        visited_indices = indices_by_node.setdefault((node, handler), {})
        new_indices = [index for index in dict.fromkeys(indices) if index not in visited_indices]
        if not new_indices:
            continue
        visited_indices |= dict.fromkeys(new_indices)
        position_limit = _get_position_limit(node.module)
        if any(index.idx >= position_limit for index in new_indices):
            return None
        for edge in node.dependencies:
            if not edge.is_triggered_by(handler):
                continue
            mapped_indices = _map_indices(edge, new_indices)
            if mapped_indices is None:
                return None
            if mapped_indices:
                pending.append((edge.target, edge.handler, mapped_indices))
    reached_nodes: list[ReachedNode] = []
    for (node, handler), visited_indices in indices_by_node.items():
        pairs = [(index.idx, index.root_idx) for index in visited_indices]
        reached_nodes.append((node, handler, pairs))
    return reached_nodes


def _get_position_limit(module: nn.Module) -> int:
    """Number of positions that no side of the module exceeds."""
    if isinstance(module, _ConvNd):
        return max(module.in_channels, module.out_channels)
    if isinstance(module, nn.Linear):
        return max(module.in_features, module.out_features)
    return MAX_PAIRS


def _map_indices(edge: Any, indices: list[_HybridIndex]) -> list[_HybridIndex] | None:
    """Map positions along an edge of the graph; None if there would be too many, or torch-pruning can't map them."""
    # torch-pruning's mapping of a flatten gives `_stride` positions for each channel.
    strides = [getattr(mapping, "_stride", 1) for mapping in edge.index_mapping]
    if len(indices) * prod(strides) > MAX_PAIRS:
        return None
    try:
        for mapping in edge.index_mapping:
            if mapping is not None:
                indices = mapping(indices)
    except (IndexError, TypeError):
        return None
    return indices


def _find_side(graph: Any, module: nn.Module, handler: Callable[..., Any]) -> str | None:
    """Side of a layer that torch-pruning's `handler` prunes, as in GroupMember; None for layers that can't be cut."""
    if isinstance(module, SAME_CHANNEL_LAYERS):
        return "both"
    if isinstance(module, _ConvNd):
        if _is_depthwise(module):
            return "both"
        if _is_unsupported_conv(module):
            return None
    elif not isinstance(module, nn.Linear):
        return None
    return "out" if graph.is_out_channel_pruning_fn(handler) else "in"


def _is_depthwise(module: _ConvNd) -> bool:
    return module.groups == module.in_channels == module.out_channels > 1


def _is_unsupported_conv(module: _ConvNd) -> bool:
    """Whether the convolution is transposed, or each of its groups has one output but several inputs."""
    return bool(module.transposed) or 1 < module.groups == module.out_channels


def _count_blocks(members: list[GroupMember], names: _NameLookup) -> int:
    """Largest number of groups of the grouped convolutions and group norms among `members`; 1 without any."""
    modules_by_name = {name: module for module, name in names.by_module.items()}
    blocks = 1
    for member in members:
        if member.side == "tensor":
            continue
        layer = modules_by_name[member.owner]
        if isinstance(layer, nn.GroupNorm):
            blocks = max(blocks, layer.num_groups)
        elif isinstance(layer, _ConvNd) and not _is_depthwise(layer):
            blocks = max(blocks, layer.groups)
    return blocks
