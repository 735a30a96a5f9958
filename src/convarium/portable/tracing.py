"""What the formats have in common: how a network is traced, and that it is a plain one."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from convarium.errors import UserError


def build_trace_arguments(shape: Sequence[int]) -> tuple[tuple[Tensor], tuple[dict[int, Any]]]:
    """Return the arguments a network of images of `shape` is traced with, and which of their sizes are free."""
    return (torch.zeros(2, *shape),), ({0: torch.export.Dim("N")},)


def check_unparametrized(network: nn.Module) -> None:
    """Refuse a network whose weights are represented: only what was decoded is given away.

    Raises:
        UserError: a module is parametrized.
    """
    for name, module in network.named_modules():
        if parametrize.is_parametrized(module):
            raise UserError(f"{name or 'the network'} has representations attached; only a decoded network is exported")
