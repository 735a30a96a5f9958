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

OLD_SUFFIXES = ("_g", "_v")  # of the names of g and v, by torch.nn.utils.weight_norm
PARAMETRIZATION_SUFFIXES = (".original0", ".original1")  # by torch.nn.utils.parametrizations.weight_norm
PARAMETRIZATIONS_PREFIX = "parametrizations."

ComputedTensor = tuple[nn.Module, str, str, type]  # the layer, its name, the tensor's name, what computes it


def remove_reparametrizations(network: nn.Module, owner: str) -> None:
    """Take weight normalisation off a network that was just built, in place; its answers stay.

    The names of those weights are the network's attribute `weight_norm_removed`, if there are any.

    Raises:
        UserError: a layer computes its weights in another way.
    """
    computed = [*_find_parametrized(network), *_find_hooked(network)]
    for _, name, leaf, kind in computed:
        if kind not in (_WeightNorm, WeightNorm):
            raise UserError(
                f"architecture {owner}: {name}.{leaf} is computed by {kind.__name__.lstrip('_')} from other tensors,"
                " which no method can compress and no file holds: build the layer without it"
            )
    for module, _, leaf, kind in computed:
        if kind is WeightNorm:
            remove_weight_norm(module, leaf)
        else:
            parametrize.remove_parametrizations(module, leaf)
    if computed:
        vars(network)["weight_norm_removed"] = [f"{name}.{leaf}" for _, name, leaf, _ in computed]


def fold_weight_norm(tensors: Mapping[str, Tensor], expected: Container[str]) -> tuple[dict[str, Tensor], list[str]]:
    """Return a state dict with g and v of weight normalisation made one weight, and the names of those weights.

    The dimensions of g of size 1 are those over which ||v|| is taken.

    Args:
        expected: names that the network itself has tensors of; they stay.
    """
    folded: dict[str, Tensor] = {}
    weight_names: list[str] = []
    for name, tensor in tensors.items():
        pair = None if name in expected else _find_gain_direction(tensors, name)
        if pair is None:
            folded[name] = tensor
            continue
        # g and v both lead here; the first of them computes the weight.
        weight_name = _name_weight(name)
        if weight_name not in folded:
            gain, direction = pair
            folded[weight_name] = _compute_weight(gain, direction)
            weight_names.append(weight_name)
    return folded, weight_names


def _find_gain_direction(tensors: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor] | None:
    """Return g and v of which `name` is one, None where it is none of such a pair."""
    for gain_suffix, direction_suffix in (OLD_SUFFIXES, PARAMETRIZATION_SUFFIXES):
        if not name.endswith((gain_suffix, direction_suffix)):
            continue
        base = name.removesuffix(gain_suffix).removesuffix(direction_suffix)
        gain, direction = tensors.get(base + gain_suffix), tensors.get(base + direction_suffix)
        is_other_parametrization = gain_suffix in PARAMETRIZATION_SUFFIXES and PARAMETRIZATIONS_PREFIX not in base
        if gain is None or direction is None or is_other_parametrization:
            continue
        if _is_gain_of(gain, direction):
            return gain, direction
    return None


def _is_gain_of(gain: Tensor, direction: Tensor) -> bool:
    """Whether g has one number for all of v, or one for each place of some of v's dimensions."""
    if not gain.is_floating_point():
        return False
    if gain.numel() == 1:
        return True
    sizes = zip(gain.shape, direction.shape, strict=False)
    return gain.dim() == direction.dim() and all(size in (1, whole) for size, whole in sizes)


def _name_weight(name: str) -> str:
    """Return the name of the weight of which a tensor is g or v."""
    for suffix in OLD_SUFFIXES:
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    for suffix in PARAMETRIZATION_SUFFIXES:
        name = name.removesuffix(suffix)
    return name.replace(PARAMETRIZATIONS_PREFIX, "")


def _compute_weight(gain: Tensor, direction: Tensor) -> Tensor:
    if gain.numel() == 1:
        return direction.mul(gain.reshape(()) / torch.linalg.vector_norm(direction))
    normed_dimensions = [place for place, size in enumerate(gain.shape) if size == 1]
    length = torch.linalg.vector_norm(direction, dim=normed_dimensions, keepdim=True)
    return direction.mul(gain / length)


def _find_parametrized(network: nn.Module) -> Iterator[ComputedTensor]:
    """Yield what torch's parametrizations compute; of several of one tensor the first that can't be folded."""
    for name, module in network.named_modules():
        if not parametrize.is_parametrized(module):
            continue
        parametrizations: Any = module.parametrizations
        for leaf, chain in parametrizations.items():
            kinds = [type(parametrization) for parametrization in chain]
            other_kinds = [kind for kind in kinds if kind is not _WeightNorm]
            yield module, name, leaf, other_kinds[0] if other_kinds else _WeightNorm


def _find_hooked(network: nn.Module) -> Iterator[ComputedTensor]:
    """Yield what the old forms compute before each pass: spectral_norm, pruning with masks."""
    for name, module in network.named_modules():
        for hook in module._forward_pre_hooks.values():
            leaf = getattr(hook, "name", getattr(hook, "_tensor_name", None))
            if isinstance(leaf, str) and isinstance(vars(module).get(leaf), Tensor):
                yield module, name, leaf, type(hook)
