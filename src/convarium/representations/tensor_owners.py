"""Which modules own a tensor: one in most networks, several where it is tied."""

from typing import cast

from torch import nn
from torch.nn.utils import parametrize

from convarium.errors import UserError

TensorOwner = tuple[nn.Module, str]


def find_owner(network: nn.Module, site: str) -> TensorOwner:
    """Return the module and the attribute that a tensor's name stands for.

    Raises:
        UserError: the network has no such tensor.
    """
    module_name, _, leaf = site.rpartition(".")
    try:
        module = network.get_submodule(module_name)
    except AttributeError:
        raise UserError(f"the network has no tensor '{site}'") from None
    if not parametrize.is_parametrized(module, leaf) and leaf not in module._parameters | module._buffers:
        raise UserError(f"the network has no tensor '{site}'")
    return module, leaf


def find_owners(network: nn.Module, site: str) -> list[TensorOwner]:
    """Return every module and attribute that holds the same parameter as `site`."""
    shared_object = get_tied_object(*find_owner(network, site))
    return group_owners_by_tensor(network)[id(shared_object)]


def get_tied_object(module: nn.Module, leaf: str) -> object:
    """Return the object that all owners of a tied tensor share: a parameter, a buffer or a parametrization.

    A parametrized tensor itself is not shared: every read of the attribute computes a new one.
    """
    parametrizations = get_parametrizations(module)
    return parametrizations[leaf] if leaf in parametrizations else getattr(module, leaf)


def group_owners_by_tensor(network: nn.Module) -> dict[int, list[TensorOwner]]:
    """Return every module and attribute that holds a tensor, by the `id` of the object they share."""
    owners_by_tensor: dict[int, list[TensorOwner]] = {}
    for module in network.modules():
        # torch keeps the originals as parameters of the ParametrizationList; they belong to the represented site.
        if isinstance(module, parametrize.ParametrizationList):
            continue
        shared_objects = module._parameters | module._buffers | get_parametrizations(module)
        for leaf, shared_object in shared_objects.items():
            owners_by_tensor.setdefault(id(shared_object), []).append((module, leaf))
    return owners_by_tensor


def get_parametrizations(module: nn.Module) -> dict[str, parametrize.ParametrizationList]:
    """Return the parametrizations of a module's own tensors, by the attribute's name."""
    if not parametrize.is_parametrized(module):
        return {}
    parametrizations = cast(nn.ModuleDict | None, module._modules.get("parametrizations"))
    if not parametrizations:
        return {}
    return cast(dict[str, parametrize.ParametrizationList], dict(parametrizations.items()))
