"""Weights copied from an independent implementation, module by module in the order in which they are called."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import Tensor, nn


def measure_difference(ours: nn.Module, reference: nn.Module, images: Tensor, later: str = "") -> float:
    """Give the witness random values, copy them to ours, and return the largest relative difference of the outputs.

    `later` names children of the witness that it calls before their sisters and ours behind them.
    """
    torch.manual_seed(0)
    ours.eval(), reference.eval()
    _randomise_weights(reference)
    with torch.no_grad():
        for mine, theirs in zip(
            _list_called_modules(ours, images),
            _move_behind_siblings(later, _list_called_modules(reference, images)),
            strict=True,
        ):
            _copy_tensors(theirs[1], mine[1])
        expected, got = reference(images), ours(images)
    return float((got - expected).abs().max() / expected.abs().max())


def _copy_tensors(source: nn.Module, target: nn.Module) -> None:
    for theirs, mine in zip(_list_saved_tensors(source), _list_saved_tensors(target), strict=True):
        assert (theirs.shape[:1], theirs.numel()) == (
            mine.shape[:1],
            mine.numel(),
        )  # a linear layer may be a convolution
        mine.copy_(theirs.reshape(mine.shape))


def _list_saved_tensors(module: nn.Module) -> list[Tensor]:
    """Parameters and buffers of a module itself, but those of no weight in the file."""
    held = chain(module.named_parameters(recurse=False), module.named_buffers(recurse=False))
    return [tensor for name, tensor in held if name not in module._non_persistent_buffers_set]


def _randomise_weights(network: nn.Module) -> None:
    """Make statistics and scales unlike what they begin with, and every bias and scale of its own differ from 0."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
        elif module._parameters and list(module.children()):
            for scale in module.parameters(recurse=False):
                nn.init.uniform_(scale, 0.1, 0.5)


def _move_behind_siblings(name: str, called: list[tuple[str, nn.Module]]) -> list[tuple[str, nn.Module]]:
    """Put every run of modules inside a child of that name behind the modules of the child's parent that follow it."""
    ordered = list(called)
    for parent in dict.fromkeys(path.split(f".{name}")[0] for path, _ in called if name and f".{name}" in path):
        inside = [one for one in ordered if one[0].startswith(f"{parent}.{name}")]
        ordered = [one for one in ordered if one not in inside]
        end = max(place for place, (path, _) in enumerate(ordered) if path.startswith(f"{parent}."))
        ordered[end + 1 : end + 1] = inside
    return ordered


def _list_called_modules(network: nn.Module, images: Tensor) -> list[tuple[str, nn.Module]]:
    with _record_calls(network) as called:
        network(images)
    return called


@contextmanager
def _record_calls(network: nn.Module) -> Iterator[list[tuple[str, nn.Module]]]:
    called: list[tuple[str, nn.Module]] = []
    hooks = [
        module.register_forward_pre_hook(lambda module, _, name=name: called.append((name, module)))
        for name, module in network.named_modules()
        if _list_saved_tensors(module)
    ]
    try:
        yield called
    finally:
        for hook in hooks:
            hook.remove()
