"""Ties: tensors that a network holds under more than one name (`b.weight = a.weight`, one module under two names)."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

NamedTensor = tuple[str, Tensor]
TiedNames = Sequence[Sequence[str]]


def find_tied_names(network: nn.Module, *, modules_once: bool = False) -> list[list[str]]:
    """Return, for each tensor that has several names in the state dict, all of them, in the network's order.

    Args:
        network: on the meta device or not, with representations or without.
        modules_once: take a module by the first of its names, so that only tensors of different modules are found.
    """
    names: dict[int, list[str]] = {}
    for name, tensor in _iterate_named_tensors(network, modules_once):
        names.setdefault(id(tensor), []).append(name)
    return [found for found in names.values() if len(found) > 1]


def find_tied_owners(network: nn.Module, *, modules_once: bool = False) -> set[str]:
    """Return the names that `find_tied_names` finds, and those of the modules that hold these tensors.

    What a representation stores is held by the module whose tensor is represented.
    """
    tied = {name for names in find_tied_names(network, modules_once=modules_once) for name in names}
    return tied | {name.rpartition(".")[0].partition(".parametrizations")[0] for name in tied}


def find_memory_overlap(network: nn.Module) -> tuple[str, str] | None:
    """Return the names of a parameter and of another tensor that lie in the same memory, but are not tied parameters.

    An optimiser moves such memory twice, and no state dict, file or move to another device brings the overlap back.
    """
    held: dict[int, list[NamedTensor]] = {}
    parameters = dict(network.named_parameters(remove_duplicate=False))
    for name, tensor in _iterate_named_tensors(network, modules_once=True):
        memory = held.setdefault(tensor.untyped_storage()._cdata, [])
        for other, earlier in memory:
            trained = {other, name} & parameters.keys()
            is_tie = earlier is tensor and len(trained) == 2
            if trained and not is_tie and _is_overlapping(earlier, tensor):
                return other, name
        memory.append((name, tensor))
    return None


def add_tied_names(tensors: Mapping[str, Tensor], tied: TiedNames) -> dict[str, Tensor]:
    """Return a state dict in which each name of a tied tensor has what another one has: some files hold it once."""
    found = dict(tensors)
    for names in tied:
        given = next((name for name in names if name in tensors), None)
        found |= {name: tensors[given] for name in names if given and name not in tensors}
    return found


def remove_tied_names(tensors: Mapping[str, Tensor], tied: TiedNames) -> dict[str, Tensor]:
    """Return a state dict in which a tied tensor has the first of its names only."""
    others = {name for names in tied for name in names[1:]}
    return {name: tensor for name, tensor in tensors.items() if name not in others}


def find_unequal_tied_names(tensors: Mapping[str, Tensor], tied: TiedNames) -> tuple[str, str] | None:
    """Return two names of a tied tensor under which a state dict has different values."""
    for names in tied:
        given = [name for name in names if name in tensors]
        for other in given[1:]:
            if not torch.equal(tensors[given[0]], tensors[other]):
                return given[0], other
    return None


def _is_overlapping(one: Tensor, other: Tensor) -> bool:
    """Whether the stretches of two tensors in their common storage overlap."""
    first, second = sorted((_find_byte_range(one), _find_byte_range(other)), key=lambda stretch: stretch.start)
    return second.start in first and len(second) > 0


def _find_byte_range(tensor: Tensor) -> range:
    """The bytes of a tensor in its storage, from its first to its last value."""
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    begin, size = int(tensor.storage_offset()), tensor.element_size()
    return range(begin * size, (begin + last + 1) * size if tensor.numel() else begin * size)


def _iterate_named_tensors(network: nn.Module, modules_once: bool) -> Iterator[NamedTensor]:
    for prefix, module in network.named_modules(remove_duplicate=modules_once):
        for leaf, tensor in (module._parameters | module._buffers).items():
            if tensor is not None and leaf not in module._non_persistent_buffers_set:
                yield f"{prefix}.{leaf}" if prefix else leaf, tensor
