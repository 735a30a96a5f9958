"""Weights copied from an independent implementation, leaf by leaf in the order in which they are called."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def difference(ours: nn.Module, witness: nn.Module, images: Tensor) -> float:
    """Give the witness random values, copy them to ours, and return the largest relative difference of the outputs."""
    torch.manual_seed(0)
    ours.eval(), witness.eval()
    _randomise(witness)
    with torch.no_grad():
        pairs = list(zip(_called(ours, images), _called(witness, images), strict=True))
        for mine, theirs in pairs:
            mine.load_state_dict(theirs.state_dict())
        expected, got = witness(images), ours(images)
    return float((got - expected).abs().max() / expected.abs().max())


def _randomise(network: nn.Module) -> None:
    """Make the statistics and scales of batch normalisation unlike what they begin with."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)


def _called(network: nn.Module, images: Tensor) -> list[nn.Module]:
    with _noted(network) as called:
        network(images)
    return called


@contextmanager
def _noted(network: nn.Module) -> Iterator[list[nn.Module]]:
    called: list[nn.Module] = []
    leaves = [module for module in network.modules() if not list(module.children()) and module.state_dict()]
    hooks = [leaf.register_forward_pre_hook(lambda module, _: called.append(module)) for leaf in leaves]
    try:
        yield called
    finally:
        for hook in hooks:
            hook.remove()
