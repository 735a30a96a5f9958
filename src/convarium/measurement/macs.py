"""Multiply-accumulate operations of a forward pass."""

from collections.abc import Sequence

import torch
import torch._dynamo  # FlopCounterMode imports it when first used: two seconds, once here, else in every forked process
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from convarium.architectures.loose_tensors import copied_to_meta


def macs(network: nn.Module, shape: Sequence[int]) -> int:
    """Count the multiply-accumulates of one image of `shape` (C, H, W): half of torch's floating-point operations.

    Convolutions, matrix products and attention count, zeros in their weights too: this is the work of a dense
    executor. Counted on the meta device, where nothing is computed and fused attention is seen.
    """
    meta = copied_to_meta(network).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        meta(torch.empty(1, *shape, device="meta"))
    return int(counter.get_total_flops()) // 2
