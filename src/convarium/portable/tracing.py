"""What the writers share: the arguments a network is traced with, and the check that it is a plain one."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from convarium.errors import UserError


def build_trace_arguments(shape: Sequence[int]) -> tuple[tuple[Tensor], tuple[dict[int, Any]]]:
    """Return example arguments for torch.export and their dynamic shapes: images of `shape` (C, H, W), N of them."""
    images = torch.zeros(2, *shape)  # two: torch.export takes a size of 1 for a constant
    batch_size = torch.export.Dim("N")
    return (images,), ({0: batch_size},)


def check_unparametrized(network: nn.Module) -> None:
    """Refuse a network with representations attached: only a decoded network is exported.

    Raises:
        UserError: a module is parametrized.
    """
    for name, module in network.named_modules():
        if parametrize.is_parametrized(module):
            raise UserError(f"{name or 'the network'} has representations attached; only a decoded network is exported")
