"""Weights that a layer computes from others: weight normalisation is folded, other parametrizations are refused.

A network of ours has plain weights, that a file holds and methods replace. Weight normalisation (Salimans and Kingma
2016, w = g v / ||v||) has a plain form of equal answers; the value of spectral normalisation (Miyato et al. 2018)
changes with each pass while it trains, and a constraint such as `orthogonal` would be lost.
"""

from collections.abc import Container, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, remove_weight_norm
from torch.nn.utils.parametrizations import _WeightNorm
from torch.nn.utils.weight_norm import WeightNorm

from convarium.errors import UserError

GAIN_DIRECTION_SUFFIXES = (
    ("_g", "_v"),
    (".original0", ".original1"),
)  # names of g and v: the old form's, torch's parametrization's
PARAMETRIZATIONS_PREFIX = "parametrizations."


def remove_reparametrizations(network: nn.Module, owner: str) -> None:
    """Take weight normalisation off a network that was just built, in place; its answers stay.

    The names of those weights are the network's attribute `weight_norm_removed`, if there are any.

    Raises:
        UserError: a layer computes its weights in another way.
    """
    found = [*_find_parametrized(network), *_find_hooked(network)]
    for _, name, leaf, kind in found:
        if kind not in (_WeightNorm, WeightNorm):
            raise UserError(
                f"architecture {owner}: {name}.{leaf} is computed by {kind.__name__.lstrip('_')} from other tensors,"
                " which no method can compress and no file holds: build the layer without it"
            )
    for module, _, leaf, kind in found:
        if kind is WeightNorm:
            remove_weight_norm(module, leaf)
        else:
            parametrize.remove_parametrizations(module, leaf)
    if found:
        vars(network)["weight_norm_removed"] = [f"{name}.{leaf}" for _, name, leaf, _ in found]


def fold_weight_norm(tensors: Mapping[str, Tensor], expected: Container[str]) -> tuple[dict[str, Tensor], list[str]]:
    """Return a state dict with g and v of weight normalisation made one weight, and the names of those weights.

    The dimensions of g of size 1 are those over which ||v|| is taken.

    Args:
        expected: names that the network itself has tensors of; they stay.
    """
    kept: dict[str, Tensor] = {}
    names: list[str] = []
    for name, tensor in tensors.items():
        pair = next(
            (
                (g, v)
                for g, v in GAIN_DIRECTION_SUFFIXES
                if name.endswith((g, v)) and _is_gain_direction_pair(tensors, name, g, v)
            ),
            None,
        )
        if pair is None or name in expected:
            kept[name] = tensor
            continue
        base = name.removesuffix(pair[0]).removesuffix(pair[1])
        weight = base.replace(PARAMETRIZATIONS_PREFIX, "") if pair[0].startswith(".") else base
        if weight not in kept:
            kept[weight] = _compute_weight(tensors[base + pair[0]], tensors[base + pair[1]])
            names.append(weight)
    return kept, names


def _is_gain_direction_pair(tensors: Mapping[str, Tensor], name: str, g: str, v: str) -> bool:
    base = name.removesuffix(g).removesuffix(v)
    if (
        base + g not in tensors
        or base + v not in tensors
        or (g.startswith(".") and PARAMETRIZATIONS_PREFIX not in base)
    ):
        return False
    gain, direction = tensors[base + g], tensors[base + v]
    fits = all(size in (1, whole) for size, whole in zip(gain.shape, direction.shape, strict=False))
    return gain.is_floating_point() and (gain.numel() == 1 or (gain.dim() == direction.dim() and fits))


def _compute_weight(gain: Tensor, direction: Tensor) -> Tensor:
    if gain.numel() == 1:
        length, gain = torch.linalg.vector_norm(direction), gain.reshape(())
    else:
        over = [place for place, size in enumerate(gain.shape) if size == 1]
        length = torch.linalg.vector_norm(direction, dim=over, keepdim=True)
    return direction.mul(gain / length)


def _find_parametrized(network: nn.Module) -> Iterator[tuple[nn.Module, str, str, type]]:
    """Yield layer, its name, the tensor's name and the parametrization, of several the first that can't be folded."""
    for name, module in network.named_modules():
        if parametrize.is_parametrized(module):
            inside: Any = module.parametrizations
            for leaf, chain in inside.items():
                kinds = [type(one) for one in chain]
                yield module, name, leaf, next((kind for kind in kinds if kind is not _WeightNorm), _WeightNorm)


def _find_hooked(network: nn.Module) -> Iterator[tuple[nn.Module, str, str, type]]:
    """Yield the same of the old forms, which compute a tensor before each pass: spectral_norm, pruning with masks."""
    for name, module in network.named_modules():
        for hook in module._forward_pre_hooks.values():
            leaf = getattr(hook, "name", getattr(hook, "_tensor_name", None))
            if isinstance(leaf, str) and isinstance(vars(module).get(leaf), Tensor):
                yield module, name, leaf, type(hook)
