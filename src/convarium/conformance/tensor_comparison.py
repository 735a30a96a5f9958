"""Tensors, and what suites compare of them."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

TENSOR_SHAPES: Mapping[str, tuple[int, ...]] = {
    "vector": (7,),
    "matrix": (13, 5),
    "convolution": (4, 3, 3, 5),
    "empty": (0, 4),
    "one value": (1,),
    "scalar": (),
}


def has_same_bits(one: Tensor, other: Tensor) -> bool:
    """Whether shape, type and every bit are equal (so that -0 is not 0, and NaN is NaN)."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return one.detach().contiguous().numpy().tobytes() == other.detach().contiguous().numpy().tobytes()


def has_same_state(one: nn.Module, other: nn.Module) -> bool:
    """Whether two networks have the same tensors by name, bit for bit."""
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(has_same_bits(first[name], second[name]) for name in first)


def compute_logits(network: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """Return what a network answers to eight images of noise in eval mode; it is left in the mode it was in."""
    training = network.training
    images = torch.randn(8, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        answer: Tensor = network.eval()(images)
    network.train(training)
    return answer
