"""Representations in a network: attached by `torch.nn.utils.parametrize`, trained, taken off again.

A site is a tensor's name in the bare network ("fc1.weight"). A site without representation is a plain parameter.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from convarium.compression import representations
from convarium.compression.representations.base import Representation
from convarium.compression.representations.dense import Dense
from convarium.errors import UserError

Owner = tuple[nn.Module, str]


def attach(network: nn.Module, chosen: Mapping[str, Representation]) -> None:
    """Give each site its representation, in place of what it has; a Dense becomes a plain parameter.

    All modules that own a tied tensor get the same representation. The trainable tensors are new parameters: build
    the optimizer afterwards.

    Raises:
        UserError: no such parameter, another shape, or a parameter that shares only part of its memory with others.
    """
    for site, representation in chosen.items():
        _check(network, site, representation)
        detach(network, site)
        owners = _owners(network, site)
        if isinstance(representation, Dense):
            _plain(owners, representation.materialised().to(materialised(network, site).device))
        else:
            _parametrize(owners, representation)


def detach(network: nn.Module, site: str) -> None:
    """Make the site a plain parameter of its materialised values (also in all other owners of a tied tensor)."""
    if _representation(*_owner(network, site)) is not None:
        _plain(_owners(network, site), materialised(network, site))


def represented(network: nn.Module) -> dict[str, Representation]:
    """The representation of every site that has one; a tied site goes by the first of its names in sorted order."""
    return {site: found for site, found, _ in _hosted(network)}


def find_representations(network: nn.Module) -> dict[str, Representation]:
    """The representation of every site that has one, by each of the names that a tied site has."""
    return {site: _lists(module)[leaf][0] for site, module, leaf in _hosts(network)}  # type: ignore[misc]


def tensors(network: nn.Module, site: str) -> tuple[Tensor, ...]:
    """The trainable tensors of a site: those its representation stores, or the plain parameter or buffer."""
    module, leaf = _owner(network, site)
    if _representation(module, leaf) is None:
        return (getattr(module, leaf),)
    return _originals(_lists(module)[leaf])


def materialised(network: nn.Module, site: str) -> Tensor:
    """A detached copy of the dense values of a site, in its shape."""
    module, leaf = _owner(network, site)
    with torch.no_grad():
        return getattr(module, leaf).detach().clone()  # type: ignore[no-any-return]


def innermost(representation: Representation | None, dense: Tensor) -> Tensor:
    """The values, as a vector, that a further step works on: the kept weights of a sparse site, else all of `dense`.

    Raises:
        UserError: the values are shared already.
    """
    return dense.flatten() if representation is None else representation.innermost(dense)


def refit(representation: Representation | None, inner: Representation, shape: Sequence[int]) -> Representation:
    """The site's representation with its innermost dense values replaced by `inner` (prune, share: Sparse(Shared)).

    Raises:
        UserError: the values are shared already, or `inner` has another number of values.
    """
    return inner.reshaped(shape) if representation is None else representation.refit(inner)


def structure(network: nn.Module) -> dict[str, dict[str, Any]]:
    """What is represented how, as JSON: with it a state dict loads into a freshly built network (`restore`)."""
    return {site: found.spec() for site, found in represented(network).items()}


def restore(network: nn.Module, structure: Mapping[str, Mapping[str, Any]]) -> None:
    """Attach unfitted representations to a bare network, ready for `load_state_dict`.

    Raises:
        UserError: a site or a size that doesn't fit the network.
    """
    for site, spec in structure.items():
        shape = tensors(network, site)[0].shape
        attach(network, {site: representations.from_spec(spec, shape)})


def stored(network: nn.Module) -> dict[str, tuple[Representation, tuple[Tensor, ...]]]:
    """Every tensor a file must hold: parameters and buffers of the state dict, tied ones once, sorted by name.

    A tied tensor goes by the first of its names in sorted order.
    """
    found: dict[str, tuple[Representation, tuple[Tensor, ...]]]
    found = {site: (held, _originals(inside)) for site, held, inside in _hosted(network)}
    inside = tuple(f"{_prefix(site)}." for site, _, _ in _hosts(network))
    plain: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in sorted(network.state_dict(keep_vars=True).items()):
        if not name.startswith(inside):
            plain.setdefault(id(tensor), (name, tensor))
    for name, tensor in plain.values():
        dense = Dense.around(tensor)
        found[name] = dense, dense.stored
    return dict(sorted(found.items()))


def put(network: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Put tensors in place of plain parameters and buffers, in all their owners, on any device."""
    everyone = _all_owners(network)
    owners = {site: everyone[id(_inside(*_owner(network, site)))] for site in values}
    for site, value in values.items():
        module, leaf = owners[site][0]
        if leaf not in module._buffers:
            _plain(owners[site], value)
            continue
        for module, leaf in owners[site]:
            module._buffers[leaf] = value


def _hosted(network: nn.Module) -> Iterator[tuple[str, Representation, parametrize.ParametrizationList]]:
    names: dict[parametrize.ParametrizationList, list[str]] = {}
    for site, module, leaf in _hosts(network):
        names.setdefault(_lists(module)[leaf], []).append(site)
    for inside, sites in names.items():
        yield min(sites), cast(Representation, inside[0]), inside


def _hosts(network: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """Every name of a represented site, with the module and the attribute it stands for."""
    for name, module in network.named_modules(remove_duplicate=False):
        for leaf in _lists(module):
            if _representation(module, leaf) is not None:
                yield f"{name}.{leaf}" if name else leaf, module, leaf


def _prefix(site: str) -> str:
    name, _, leaf = site.rpartition(".")
    return f"{name}.parametrizations.{leaf}" if name else f"parametrizations.{leaf}"


def _representation(module: nn.Module, leaf: str) -> Representation | None:
    inside = _lists(module).get(leaf)
    return inside[0] if inside is not None and isinstance(inside[0], Representation) else None


def _lists(module: nn.Module) -> dict[str, parametrize.ParametrizationList]:
    """The parametrizations of a module's own tensors."""
    found = module._modules.get("parametrizations") if parametrize.is_parametrized(module) else None
    return cast(dict[str, parametrize.ParametrizationList], dict(found.items()) if found else {})  # type: ignore[operator]


def _originals(inside: parametrize.ParametrizationList) -> tuple[Tensor, ...]:
    return tuple(getattr(inside, f"original{index}") for index in range(inside.ntensors))


def _owner(network: nn.Module, site: str) -> Owner:
    name, _, leaf = site.rpartition(".")
    try:
        module = network.get_submodule(name)
    except AttributeError:
        raise UserError(f"the network has no tensor '{site}'") from None
    if not parametrize.is_parametrized(module, leaf) and leaf not in module._parameters | module._buffers:
        raise UserError(f"the network has no tensor '{site}'")
    return module, leaf


def _owners(network: nn.Module, site: str) -> list[Owner]:
    """Every module and attribute that holds the same parameter as `site`."""
    return _all_owners(network)[id(_inside(*_owner(network, site)))]


def _inside(module: nn.Module, leaf: str) -> object:
    """What the owners of a tied tensor have in common: parameter, buffer, or parametrization."""
    return (module._parameters | module._buffers | _lists(module))[leaf]


def _all_owners(network: nn.Module) -> dict[int, list[Owner]]:
    """Every module and attribute that holds a tensor, by the identity of what they have in common (see `_inside`)."""
    found: dict[int, list[Owner]] = {}
    for module in network.modules():
        if not isinstance(module, parametrize.ParametrizationList):
            for leaf, inside in (module._parameters | module._buffers | _lists(module)).items():
                found.setdefault(id(inside), []).append((module, leaf))
    return found


def _check(network: nn.Module, site: str, representation: Representation) -> None:
    module, leaf = _owner(network, site)
    if parametrize.is_parametrized(module, leaf) and _representation(module, leaf) is None:
        raise UserError(f"site {site}: it has a parametrization of another kind")
    if not parametrize.is_parametrized(module, leaf) and leaf not in module._parameters:
        raise UserError(f"site {site}: only parameters can be represented, it is a buffer")
    if getattr(module, leaf).shape != representation.shape:
        raise UserError(f"site {site} has shape {tuple(getattr(module, leaf).shape)}, not {representation.shape}")
    if not parametrize.is_parametrized(module, leaf):
        _check_memory(network, site, module._parameters[leaf])


def _check_memory(network: nn.Module, site: str, parameter: nn.Parameter | None) -> None:
    """Refuse a parameter that another one views: representing one of them would untie them silently."""
    if parameter is None or parameter.is_meta:
        return
    for name, other in network.named_parameters():
        if other is not parameter and _overlap(parameter, other):
            raise UserError(f"site {site} shares its memory with {name}: such sites can't be represented")


def _overlap(one: Tensor, other: Tensor) -> bool:
    first, second = sorted((tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes) for tensor in (one, other))
    return first[1] > second[0] > 0 and one.device == other.device


def _parametrize(owners: list[Owner], representation: Representation) -> None:
    module, leaf = owners[0]
    parametrize.register_parametrization(module, leaf, representation.to(getattr(module, leaf).device))
    _sort(module)
    for other, name in owners[1:]:
        _adopt(other, name, _lists(module)[leaf])


def _adopt(module: nn.Module, leaf: str, inside: parametrize.ParametrizationList) -> None:
    """Host a parametrization that exists already."""
    parametrize.register_parametrization(module, leaf, nn.Identity())
    cast(nn.ModuleDict, module.parametrizations)[leaf] = inside
    _sort(module)


def _sort(module: nn.Module) -> None:
    """Order a module's parametrizations by name: an optimiser's state goes by the order of parameters."""
    inside = cast(nn.ModuleDict, module.parametrizations)._modules
    for leaf in sorted(inside):
        inside[leaf] = inside.pop(leaf)


def _plain(owners: list[Owner], value: Tensor) -> None:
    """Make `value` the plain parameter of all owners."""
    module, leaf = owners[0]
    before = _originals(_lists(module)[leaf])[0] if leaf in _lists(module) else getattr(module, leaf)
    parameter = nn.Parameter(value, requires_grad=before.requires_grad)
    for module, leaf in owners:
        if leaf in _lists(module):
            _strip(module, leaf)
        setattr(module, leaf, parameter)  # a recurrent layer keeps a second list of its own


def _strip(module: nn.Module, leaf: str) -> None:
    """Take one parametrization off, and leave the module's class alone: a deep copy of the network may share it."""
    kept = {name: inside for name, inside in _lists(module).items() if name != leaf}
    module.__class__ = parametrize.type_before_parametrizations(module)
    del module._modules["parametrizations"]
    for name, inside in kept.items():
        module._parameters[name] = nn.Parameter(torch.empty(0))
        _adopt(module, name, inside)
