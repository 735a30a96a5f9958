"""Multiply-accumulate operations of a forward pass."""

from collections.abc import Sequence

import torch
import torch._dynamo  # FlopCounterMode imports it when first used: two seconds, once here, else in every forked process
from torch import nn

from convarium.architectures.unsaved_tensors import copy_to_meta
from convarium.cost.flop_counter import build_flop_counter


def count_macs(network: nn.Module, shape: Sequence[int]) -> int:
    """Count the multiply-accumulates of one image of `shape` (C, H, W): half of torch's floating-point operations.

    Counted are convolutions, matrix products (also of vectors and of three factors) and attention, whether weights are
    zero or not: the work of a dense executor. Not counted are elementwise operations (norms, activations, outer
    products), look-ups and sums (embeddings, pooling), distances, Fourier transforms and solvers. It runs on the meta
    device, where nothing is computed and fused attention is counted.
    """
    meta_network = copy_to_meta(network).eval()
    with torch.no_grad(), build_flop_counter() as flop_counter:
        meta_network(torch.empty(1, *shape, device="meta"))
    return int(flop_counter.get_total_flops()) // 2
