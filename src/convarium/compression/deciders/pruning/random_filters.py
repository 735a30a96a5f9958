"""Cut filters drawn at random: the control that every criterion for filters must beat."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from convarium.compression.deciders.interface import Decision, NetworkView
from convarium.compression.deciders.pruning import filter_l1
from convarium.compression.structure.channel_groups import ChannelGroup


def random_filters(view: NetworkView) -> Decision:
    """Cut the filters with the lowest of uniform random scores: as many as `filter_l1` cuts, but others."""

    def draw_scores(_: nn.Module, group: ChannelGroup) -> Tensor:
        return torch.rand(group.size // group.blocks, generator=view.generator, dtype=torch.float64)

    return filter_l1.cut_lowest_filters(view, draw_scores)


def check_step(network: nn.Module, step: Mapping[str, Any]) -> None:
    """Refuse a network of which nothing can be cut (see `filter_l1.check_step`)."""
    filter_l1.check_step(network, step)
