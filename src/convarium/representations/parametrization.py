"""Representations in a network: attached by `torch.nn.utils.parametrize`, trained, taken off again.

A site is a tensor's name in the bare network ("fc1.weight"). A site without representation is a plain parameter.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from convarium import representations
from convarium.errors import UserError
from convarium.representations.base import Representation
from convarium.representations.dense import Dense
from convarium.representations.tensor_owners import (
    TensorOwner,
    find_owner,
    find_owners,
    get_parametrizations,
    get_tied_object,
    group_owners_by_tensor,
)


def attach_representations(network: nn.Module, representations_by_site: Mapping[str, Representation]) -> None:
    """Give each site its representation, in place of the one it has; a Dense becomes a plain parameter.

    All modules that own a tied tensor get the same representation. The trainable tensors are new parameters: build
    the optimizer afterwards.

    Raises:
        UserError: no such parameter, another shape, or a parameter that shares only part of its memory with others.
    """
    for site, representation in representations_by_site.items():
        _check_representable(network, site, representation)
        detach_representation(network, site)
        owners = find_owners(network, site)
        if isinstance(representation, Dense):
            device = materialise_site(network, site).device
            _set_plain_parameter(owners, representation.materialise().to(device))
        else:
            _register_representation(owners, representation)


def detach_representation(network: nn.Module, site: str) -> None:
    """Make the site a plain parameter of its materialised values (also in all other owners of a tied tensor)."""
    module, leaf = find_owner(network, site)
    if _find_representation(module, leaf) is not None:
        _set_plain_parameter(find_owners(network, site), materialise_site(network, site))


def collect_representations(network: nn.Module) -> dict[str, Representation]:
    """Return the representation of every site that has one; a tied site goes by its first name in sorted order."""
    return {site: representation for site, representation, _ in _iterate_represented_sites(network)}


def collect_representations_with_aliases(network: nn.Module) -> dict[str, Representation]:
    """Return the representation of every site that has one, under each name of a tied site."""
    representations_by_name = {}
    for site, module, leaf in _iterate_represented_names(network):
        representations_by_name[site] = cast(Representation, get_parametrizations(module)[leaf][0])
    return representations_by_name


def get_site_tensors(network: nn.Module, site: str) -> tuple[Tensor, ...]:
    """Return the trainable tensors of a site: those its representation stores, or the plain parameter or buffer."""
    module, leaf = find_owner(network, site)
    if _find_representation(module, leaf) is None:
        return (getattr(module, leaf),)
    return _get_originals(get_parametrizations(module)[leaf])


def materialise_site(network: nn.Module, site: str) -> Tensor:
    """Return a detached copy of the dense values of a site, in its shape."""
    module, leaf = find_owner(network, site)
    with torch.no_grad():
        dense: Tensor = getattr(module, leaf)
        return dense.detach().clone()


def extract_innermost_values(representation: Representation | None, dense: Tensor) -> Tensor:
    """Return, as a vector, the values that a further step works on: the kept weights of a sparse site, else all.

    Raises:
        UserError: the values are shared or quantised already.
    """
    if representation is None:
        return dense.flatten()
    return representation.extract_innermost(dense)


def replace_innermost_values(
    representation: Representation | None, inner: Representation, shape: Sequence[int]
) -> Representation:
    """Return the site's representation with its innermost dense values replaced by `inner`.

    Pruning, then sharing gives Sparse(Shared).

    Raises:
        UserError: the values are shared or quantised already, or `inner` has another number of values.
    """
    if representation is None:
        return inner.reshape_to(shape)
    return representation.replace_innermost(inner)


def describe_representations(network: nn.Module) -> dict[str, dict[str, Any]]:
    """Return the spec of every represented site, as JSON that `restore_representations` reads."""
    return {site: representation.to_spec() for site, representation in collect_representations(network).items()}


def restore_representations(network: nn.Module, specs: Mapping[str, Mapping[str, Any]]) -> None:
    """Attach unfitted representations to a bare network, ready for `load_state_dict`.

    Raises:
        UserError: a site or a size that doesn't fit the network.
    """
    for site, spec in specs.items():
        shape = get_site_tensors(network, site)[0].shape
        attach_representations(network, {site: representations.build_representation(spec, shape)})


def collect_stored_tensors(network: nn.Module) -> dict[str, tuple[Representation, tuple[Tensor, ...]]]:
    """Return every tensor that a file must hold: parameters and buffers of the state dict, sorted by name.

    A tied tensor appears once, under its first name in sorted order.
    """
    stored: dict[str, tuple[Representation, tuple[Tensor, ...]]] = {}
    for site, representation, parametrization in _iterate_represented_sites(network):
        stored[site] = representation, _get_originals(parametrization)
    for name, tensor in _iterate_plain_tensors(network):
        dense = Dense.from_tensor(tensor)
        stored[name] = dense, dense.stored_tensors
    return dict(sorted(stored.items()))


def replace_tensors(network: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Put tensors in place of plain parameters and buffers, in all their owners, on any device."""
    owners_by_tensor = group_owners_by_tensor(network)
    # Looked up before the first replacement: another name of a tied tensor would then lead to the new tensor.
    owners_by_site = {}
    for site in values:
        shared_object = get_tied_object(*find_owner(network, site))
        owners_by_site[site] = owners_by_tensor[id(shared_object)]
    for site, value in values.items():
        owners = owners_by_site[site]
        first_module, first_leaf = owners[0]
        if first_leaf not in first_module._buffers:
            _set_plain_parameter(owners, value)
            continue
        for module, leaf in owners:
            module._buffers[leaf] = value


def _iterate_represented_sites(
    network: nn.Module,
) -> Iterator[tuple[str, Representation, parametrize.ParametrizationList]]:
    """Yield each represented site once, with its representation and the parametrization that holds its originals."""
    names_by_parametrization: dict[parametrize.ParametrizationList, list[str]] = {}
    for name, module, leaf in _iterate_represented_names(network):
        names_by_parametrization.setdefault(get_parametrizations(module)[leaf], []).append(name)
    for parametrization, names in names_by_parametrization.items():
        yield min(names), cast(Representation, parametrization[0]), parametrization


def _iterate_represented_names(network: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """Yield every name of a represented site, with the module and the attribute it stands for."""
    for prefix, module in network.named_modules(remove_duplicate=False):
        for leaf in get_parametrizations(module):
            if _find_representation(module, leaf) is not None:
                yield f"{prefix}.{leaf}" if prefix else leaf, module, leaf


def _iterate_plain_tensors(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of the state dict that no representation holds, tied ones once, sorted by name."""
    represented = tuple(_get_state_prefix(site) for site, _, _ in _iterate_represented_names(network))
    visited: set[int] = set()
    # keep_vars: without it a state dict holds detached views, and tied tensors are no longer the same object.
    for name, tensor in sorted(network.state_dict(keep_vars=True).items()):
        if not name.startswith(represented) and id(tensor) not in visited:
            visited.add(id(tensor))
            yield name, tensor


def _get_state_prefix(site: str) -> str:
    """Return the prefix under which torch's state dict keeps the originals and buffers of a represented site."""
    module_name, _, leaf = site.rpartition(".")
    return f"{module_name}.parametrizations.{leaf}." if module_name else f"parametrizations.{leaf}."


def _find_representation(module: nn.Module, leaf: str) -> Representation | None:
    parametrization = get_parametrizations(module).get(leaf)
    if parametrization is None or not isinstance(parametrization[0], Representation):
        return None
    return parametrization[0]


def _get_originals(parametrization: parametrize.ParametrizationList) -> tuple[Tensor, ...]:
    return tuple(getattr(parametrization, f"original{index}") for index in range(parametrization.ntensors))


def _check_representable(network: nn.Module, site: str, representation: Representation) -> None:
    module, leaf = find_owner(network, site)
    is_parametrized = parametrize.is_parametrized(module, leaf)
    if is_parametrized and _find_representation(module, leaf) is None:
        raise UserError(f"site {site}: it has a parametrization of another kind")
    if not is_parametrized and leaf not in module._parameters:
        raise UserError(f"site {site}: only parameters can be represented, it is a buffer")
    shape = getattr(module, leaf).shape
    if shape != representation.shape:
        raise UserError(f"site {site} has shape {tuple(shape)}, not {representation.shape}")
    if not is_parametrized:
        _check_memory_overlap(network, site, module._parameters[leaf])


def _check_memory_overlap(network: nn.Module, site: str, parameter: nn.Parameter | None) -> None:
    """Refuse a parameter that another one views: representing one of them would untie them silently."""
    if parameter is None or parameter.is_meta:
        return
    for name, other in network.named_parameters():
        if other is not parameter and _is_memory_shared(parameter, other):
            raise UserError(f"site {site} shares its memory with {name}: such sites can't be represented")


def _is_memory_shared(tensor: Tensor, other: Tensor) -> bool:
    if tensor.device != other.device:
        return False
    start, other_start = tensor.data_ptr(), other.data_ptr()
    if not start or not other_start:  # an empty tensor, or one on the meta device
        return False
    return start < other_start + other.nbytes and other_start < start + tensor.nbytes


def _register_representation(owners: list[TensorOwner], representation: Representation) -> None:
    module, leaf = owners[0]
    device = getattr(module, leaf).device
    parametrize.register_parametrization(module, leaf, representation.to(device))
    _sort_parametrizations(module)
    parametrization = get_parametrizations(module)[leaf]
    for other_module, other_leaf in owners[1:]:
        _share_parametrization(other_module, other_leaf, parametrization)


def _share_parametrization(module: nn.Module, leaf: str, parametrization: parametrize.ParametrizationList) -> None:
    """Make a module use a parametrization that exists already."""
    # torch can only register a new one: a placeholder sets up the module's class, then gives way.
    parametrize.register_parametrization(module, leaf, nn.Identity())
    cast(nn.ModuleDict, module.parametrizations)[leaf] = parametrization
    _sort_parametrizations(module)


def _sort_parametrizations(module: nn.Module) -> None:
    """Order a module's parametrizations by name: an optimiser's state goes by the order of parameters."""
    parametrizations = cast(nn.ModuleDict, module.parametrizations)._modules
    for leaf in sorted(parametrizations):
        parametrizations[leaf] = parametrizations.pop(leaf)


def _set_plain_parameter(owners: list[TensorOwner], value: Tensor) -> None:
    """Make `value` the plain parameter of all owners."""
    first_module, first_leaf = owners[0]
    parametrizations = get_parametrizations(first_module)
    if first_leaf in parametrizations:
        replaced = _get_originals(parametrizations[first_leaf])[0]
    else:
        replaced = getattr(first_module, first_leaf)
    parameter = nn.Parameter(value, requires_grad=replaced.requires_grad)
    for module, leaf in owners:
        if leaf in get_parametrizations(module):
            _remove_parametrization(module, leaf)
        # Not through `_parameters`: a recurrent layer's __setattr__ keeps a second list of its weights.
        setattr(module, leaf, parameter)


def _remove_parametrization(module: nn.Module, leaf: str) -> None:
    """Take one parametrization off; the other ones of the module are registered again."""
    remaining = get_parametrizations(module)
    del remaining[leaf]
    # torch's own removal deletes the property from the parametrized class, which a deep copy of the network may share.
    module.__class__ = parametrize.type_before_parametrizations(module)
    del module._modules["parametrizations"]
    for other_leaf, parametrization in remaining.items():
        module._parameters[other_leaf] = nn.Parameter(torch.empty(0))
        _share_parametrization(module, other_leaf, parametrization)
