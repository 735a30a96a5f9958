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

TensorOwner = tuple[nn.Module, str]


def attach_representations(network: nn.Module, representations_by_site: Mapping[str, Representation]) -> None:
    """Give each site its representation, in place of what it has; a Dense becomes a plain parameter.

    All modules that own a tied tensor get the same representation. The trainable tensors are new parameters: build
    the optimizer afterwards.

    Raises:
        UserError: no such parameter, another shape, or a parameter that shares only part of its memory with others.
    """
    for site, representation in representations_by_site.items():
        _check_representable(network, site, representation)
        detach_representation(network, site)
        owners = _find_owners(network, site)
        if isinstance(representation, Dense):
            _set_plain_parameter(owners, representation.materialise().to(materialise_site(network, site).device))
        else:
            _register_representation(owners, representation)


def detach_representation(network: nn.Module, site: str) -> None:
    """Make the site a plain parameter of its materialised values (also in all other owners of a tied tensor)."""
    if _find_representation(*_find_owner(network, site)) is not None:
        _set_plain_parameter(_find_owners(network, site), materialise_site(network, site))


def collect_representations(network: nn.Module) -> dict[str, Representation]:
    """The representation of every site that has one; a tied site goes by the first of its names in sorted order."""
    return {site: found for site, found, _ in _iterate_represented_sites(network)}


def collect_representations_with_aliases(network: nn.Module) -> dict[str, Representation]:
    """The representation of every site that has one, by each of the names that a tied site has."""
    return {site: _get_parametrizations(module)[leaf][0] for site, module, leaf in _iterate_represented_names(network)}  # type: ignore[misc]


def get_site_tensors(network: nn.Module, site: str) -> tuple[Tensor, ...]:
    """The trainable tensors of a site: those its representation stores, or the plain parameter or buffer."""
    module, leaf = _find_owner(network, site)
    if _find_representation(module, leaf) is None:
        return (getattr(module, leaf),)
    return _get_originals(_get_parametrizations(module)[leaf])


def materialise_site(network: nn.Module, site: str) -> Tensor:
    """A detached copy of the dense values of a site, in its shape."""
    module, leaf = _find_owner(network, site)
    with torch.no_grad():
        return getattr(module, leaf).detach().clone()  # type: ignore[no-any-return]


def extract_innermost_values(representation: Representation | None, dense: Tensor) -> Tensor:
    """The values, as a vector, that a further step works on: the kept weights of a sparse site, else all of `dense`.

    Raises:
        UserError: the values are shared already.
    """
    return dense.flatten() if representation is None else representation.extract_innermost(dense)


def replace_innermost_values(
    representation: Representation | None, inner: Representation, shape: Sequence[int]
) -> Representation:
    """The site's representation with its innermost dense values replaced by `inner` (prune, share: Sparse(Shared)).

    Raises:
        UserError: the values are shared already, or `inner` has another number of values.
    """
    return inner.reshape_to(shape) if representation is None else representation.replace_innermost(inner)


def describe_representations(network: nn.Module) -> dict[str, dict[str, Any]]:
    """What is represented how, as JSON: `restore_representations` puts it into a freshly built network."""
    return {site: found.to_spec() for site, found in collect_representations(network).items()}


def restore_representations(network: nn.Module, specs: Mapping[str, Mapping[str, Any]]) -> None:
    """Attach unfitted representations to a bare network, ready for `load_state_dict`.

    Raises:
        UserError: a site or a size that doesn't fit the network.
    """
    for site, spec in specs.items():
        shape = get_site_tensors(network, site)[0].shape
        attach_representations(network, {site: representations.build_representation(spec, shape)})


def collect_stored_tensors(network: nn.Module) -> dict[str, tuple[Representation, tuple[Tensor, ...]]]:
    """Every tensor a file must hold: parameters and buffers of the state dict, tied ones once, sorted by name.

    A tied tensor goes by the first of its names in sorted order.
    """
    found: dict[str, tuple[Representation, tuple[Tensor, ...]]]
    found = {site: (held, _get_originals(inside)) for site, held, inside in _iterate_represented_sites(network)}
    inside = tuple(f"{_get_parametrization_path(site)}." for site, _, _ in _iterate_represented_names(network))
    plain: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in sorted(network.state_dict(keep_vars=True).items()):
        if not name.startswith(inside):
            plain.setdefault(id(tensor), (name, tensor))
    for name, tensor in plain.values():
        dense = Dense.from_tensor(tensor)
        found[name] = dense, dense.stored_tensors
    return dict(sorted(found.items()))


def replace_tensors(network: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Put tensors in place of plain parameters and buffers, in all their owners, on any device."""
    everyone = _group_owners_by_tensor(network)
    owners = {site: everyone[id(_get_tied_object(*_find_owner(network, site)))] for site in values}
    for site, value in values.items():
        module, leaf = owners[site][0]
        if leaf not in module._buffers:
            _set_plain_parameter(owners[site], value)
            continue
        for module, leaf in owners[site]:
            module._buffers[leaf] = value


def _iterate_represented_sites(
    network: nn.Module,
) -> Iterator[tuple[str, Representation, parametrize.ParametrizationList]]:
    names: dict[parametrize.ParametrizationList, list[str]] = {}
    for site, module, leaf in _iterate_represented_names(network):
        names.setdefault(_get_parametrizations(module)[leaf], []).append(site)
    for inside, sites in names.items():
        yield min(sites), cast(Representation, inside[0]), inside


def _iterate_represented_names(network: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """Every name of a represented site, with the module and the attribute it stands for."""
    for name, module in network.named_modules(remove_duplicate=False):
        for leaf in _get_parametrizations(module):
            if _find_representation(module, leaf) is not None:
                yield f"{name}.{leaf}" if name else leaf, module, leaf


def _get_parametrization_path(site: str) -> str:
    name, _, leaf = site.rpartition(".")
    return f"{name}.parametrizations.{leaf}" if name else f"parametrizations.{leaf}"


def _find_representation(module: nn.Module, leaf: str) -> Representation | None:
    inside = _get_parametrizations(module).get(leaf)
    return inside[0] if inside is not None and isinstance(inside[0], Representation) else None


def _get_parametrizations(module: nn.Module) -> dict[str, parametrize.ParametrizationList]:
    """The parametrizations of a module's own tensors."""
    found = module._modules.get("parametrizations") if parametrize.is_parametrized(module) else None
    return cast(dict[str, parametrize.ParametrizationList], dict(found.items()) if found else {})  # type: ignore[operator]


def _get_originals(inside: parametrize.ParametrizationList) -> tuple[Tensor, ...]:
    return tuple(getattr(inside, f"original{index}") for index in range(inside.ntensors))


def _find_owner(network: nn.Module, site: str) -> TensorOwner:
    name, _, leaf = site.rpartition(".")
    try:
        module = network.get_submodule(name)
    except AttributeError:
        raise UserError(f"the network has no tensor '{site}'") from None
    if not parametrize.is_parametrized(module, leaf) and leaf not in module._parameters | module._buffers:
        raise UserError(f"the network has no tensor '{site}'")
    return module, leaf


def _find_owners(network: nn.Module, site: str) -> list[TensorOwner]:
    """Every module and attribute that holds the same parameter as `site`."""
    return _group_owners_by_tensor(network)[id(_get_tied_object(*_find_owner(network, site)))]


def _get_tied_object(module: nn.Module, leaf: str) -> object:
    """What the owners of a tied tensor have in common: parameter, buffer, or parametrization."""
    return (module._parameters | module._buffers | _get_parametrizations(module))[leaf]


def _group_owners_by_tensor(network: nn.Module) -> dict[int, list[TensorOwner]]:
    """Every module and attribute that holds a tensor, by the identity of what they share (`_get_tied_object`)."""
    found: dict[int, list[TensorOwner]] = {}
    for module in network.modules():
        if not isinstance(module, parametrize.ParametrizationList):
            for leaf, inside in (module._parameters | module._buffers | _get_parametrizations(module)).items():
                found.setdefault(id(inside), []).append((module, leaf))
    return found


def _check_representable(network: nn.Module, site: str, representation: Representation) -> None:
    module, leaf = _find_owner(network, site)
    if parametrize.is_parametrized(module, leaf) and _find_representation(module, leaf) is None:
        raise UserError(f"site {site}: it has a parametrization of another kind")
    if not parametrize.is_parametrized(module, leaf) and leaf not in module._parameters:
        raise UserError(f"site {site}: only parameters can be represented, it is a buffer")
    if getattr(module, leaf).shape != representation.shape:
        raise UserError(f"site {site} has shape {tuple(getattr(module, leaf).shape)}, not {representation.shape}")
    if not parametrize.is_parametrized(module, leaf):
        _check_memory_overlap(network, site, module._parameters[leaf])


def _check_memory_overlap(network: nn.Module, site: str, parameter: nn.Parameter | None) -> None:
    """Refuse a parameter that another one views: representing one of them would untie them silently."""
    if parameter is None or parameter.is_meta:
        return
    for name, other in network.named_parameters():
        if other is not parameter and _is_memory_shared(parameter, other):
            raise UserError(f"site {site} shares its memory with {name}: such sites can't be represented")


def _is_memory_shared(one: Tensor, other: Tensor) -> bool:
    first, second = sorted((tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes) for tensor in (one, other))
    return first[1] > second[0] > 0 and one.device == other.device


def _register_representation(owners: list[TensorOwner], representation: Representation) -> None:
    module, leaf = owners[0]
    parametrize.register_parametrization(module, leaf, representation.to(getattr(module, leaf).device))
    _sort_parametrizations(module)
    for other, name in owners[1:]:
        _share_parametrization(other, name, _get_parametrizations(module)[leaf])


def _share_parametrization(module: nn.Module, leaf: str, inside: parametrize.ParametrizationList) -> None:
    """Host a parametrization that exists already."""
    parametrize.register_parametrization(module, leaf, nn.Identity())
    cast(nn.ModuleDict, module.parametrizations)[leaf] = inside
    _sort_parametrizations(module)


def _sort_parametrizations(module: nn.Module) -> None:
    """Order a module's parametrizations by name: an optimiser's state goes by the order of parameters."""
    inside = cast(nn.ModuleDict, module.parametrizations)._modules
    for leaf in sorted(inside):
        inside[leaf] = inside.pop(leaf)


def _set_plain_parameter(owners: list[TensorOwner], value: Tensor) -> None:
    """Make `value` the plain parameter of all owners."""
    module, leaf = owners[0]
    before = (
        _get_originals(_get_parametrizations(module)[leaf])[0]
        if leaf in _get_parametrizations(module)
        else getattr(module, leaf)
    )
    parameter = nn.Parameter(value, requires_grad=before.requires_grad)
    for module, leaf in owners:
        if leaf in _get_parametrizations(module):
            _remove_parametrization(module, leaf)
        setattr(module, leaf, parameter)  # a recurrent layer keeps a second list of its own


def _remove_parametrization(module: nn.Module, leaf: str) -> None:
    """Take one parametrization off, and leave the module's class alone: a deep copy of the network may share it."""
    kept = {name: inside for name, inside in _get_parametrizations(module).items() if name != leaf}
    module.__class__ = parametrize.type_before_parametrizations(module)
    del module._modules["parametrizations"]
    for name, inside in kept.items():
        module._parameters[name] = nn.Parameter(torch.empty(0))
        _share_parametrization(module, name, inside)
