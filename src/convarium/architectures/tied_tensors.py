"""Ties: tensors that a network holds under several names (`b.weight = a.weight`, or one module under two names)."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

NamedTensor = tuple[str, Tensor]
TiedNames = Sequence[Sequence[str]]


def find_tied_names(network: nn.Module, *, modules_once: bool = False) -> list[list[str]]:
    """Return, for each tensor that has several names in the state dict, all of them, in the network's order.

    Args:
        network: on the meta device or not, with representations or without.
        modules_once: look at a module under the first of its names only, so that only different modules can tie.
    """
    names_by_id: dict[int, list[str]] = {}
    for name, tensor in _iterate_named_tensors(network, modules_once):
        names_by_id.setdefault(id(tensor), []).append(name)
    return [names for names in names_by_id.values() if len(names) > 1]


def find_tied_owners(network: nn.Module, *, modules_once: bool = False) -> set[str]:
    """Return the names that `find_tied_names` finds, and those of the modules that hold these tensors.

    A tensor of a representation counts as held by the module whose weight is represented.
    """
    owners: set[str] = set()
    for names in find_tied_names(network, modules_once=modules_once):
        for name in names:
            module = name.rpartition(".")[0].partition(".parametrizations")[0]
            owners |= {name, module}
    return owners


def find_memory_overlap(network: nn.Module) -> tuple[str, str] | None:
    """Return the names of a parameter and of another tensor that lie in the same memory, but are not tied parameters.

    An optimiser updates such memory twice, and no state dict, file or move to another device restores the overlap.
    """
    tensors_by_storage: dict[int, list[NamedTensor]] = {}
    parameter_names = {name for name, _ in network.named_parameters(remove_duplicate=False)}
    for name, tensor in _iterate_named_tensors(network, modules_once=True):
        # On the meta device every data pointer is 0; the address of the storage itself tells tensors apart.
        neighbours = tensors_by_storage.setdefault(tensor.untyped_storage()._cdata, [])
        for neighbour_name, neighbour in neighbours:
            parameters = {neighbour_name, name} & parameter_names
            is_tie = neighbour is tensor and len(parameters) == 2
            if parameters and not is_tie and _is_overlapping(neighbour, tensor):
                return neighbour_name, name
        neighbours.append((name, tensor))
    return None


def add_tied_names(tensors: Mapping[str, Tensor], tied: TiedNames) -> dict[str, Tensor]:
    """Return a state dict in which a tied tensor has all its names: some files hold it under one of them only."""
    complete = dict(tensors)
    for names in tied:
        stored_name = next((name for name in names if name in tensors), None)
        if stored_name is not None:
            complete |= {name: tensors[stored_name] for name in names if name not in tensors}
    return complete


def remove_tied_names(tensors: Mapping[str, Tensor], tied: TiedNames) -> dict[str, Tensor]:
    """Return a state dict in which a tied tensor has the first of its names only."""
    further_names = {name for names in tied for name in names[1:]}
    return {name: tensor for name, tensor in tensors.items() if name not in further_names}


def find_unequal_tied_names(tensors: Mapping[str, Tensor], tied: TiedNames) -> tuple[str, str] | None:
    """Return two names of a tied tensor under which a state dict has different values."""
    for names in tied:
        stored_names = [name for name in names if name in tensors]
        for name in stored_names[1:]:
            if not torch.equal(tensors[stored_names[0]], tensors[name]):
                return stored_names[0], name
    return None


def _is_overlapping(tensor: Tensor, other: Tensor) -> bool:
    """Whether the byte ranges of two tensors in their common storage overlap."""
    ranges = (_find_byte_range(tensor), _find_byte_range(other))
    first, second = sorted(ranges, key=lambda byte_range: byte_range.start)
    return second.start in first and len(second) > 0


def _find_byte_range(tensor: Tensor) -> range:
    """Return the bytes of a tensor in its storage, from its first to its last value."""
    start, bytes_per_value = int(tensor.storage_offset()), tensor.element_size()
    if tensor.numel() == 0:
        return range(start * bytes_per_value, start * bytes_per_value)
    last = start + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return range(start * bytes_per_value, (last + 1) * bytes_per_value)


def _iterate_named_tensors(network: nn.Module, modules_once: bool) -> Iterator[NamedTensor]:
    for prefix, module in network.named_modules(remove_duplicate=modules_once):
        for leaf, tensor in (module._parameters | module._buffers).items():
            if tensor is not None and leaf not in module._non_persistent_buffers_set:
                yield f"{prefix}.{leaf}" if prefix else leaf, tensor
