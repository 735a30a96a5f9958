"""Tensor shapes that suites try, and comparisons of tensors and networks bit for bit."""

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


def has_same_bits(first: Tensor, second: Tensor) -> bool:
    """Whether shape, type and every bit are equal (so that -0 is not 0, and NaN is NaN)."""
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    # Not torch.equal: it takes -0 and 0 for equal, and NaN for unequal to itself.
    first_bytes = first.detach().contiguous().numpy().tobytes()
    return first_bytes == second.detach().contiguous().numpy().tobytes()


def has_same_state(first: nn.Module, second: nn.Module) -> bool:
    """Whether the state dicts of two networks hold the same tensors by name, bit for bit."""
    first_state, second_state = first.state_dict(), second.state_dict()
    if first_state.keys() != second_state.keys():
        return False
    return all(has_same_bits(tensor, second_state[name]) for name, tensor in first_state.items())


def compute_logits(network: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """Return a network's logits in eval mode for eight images of noise; it is left in the mode it was in.

    Args:
        network: on the CPU.
        shape: of an image.
    """
    was_training = network.training
    images = torch.randn(8, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits: Tensor = network.eval()(images)
    network.train(was_training)
    return logits
