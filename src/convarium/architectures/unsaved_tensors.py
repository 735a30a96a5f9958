"""Tensors that a network holds outside its state dict: plain attributes, and buffers that are not persistent.

`torch.nn.Module.to` moves parameters and buffers only. `move_network` also moves what else the forward pass may read:
tensors in attributes of modules, and in the lists, dicts, tuples, dataclasses and other objects that these hold.
"""

from collections.abc import Callable, MutableMapping, MutableSequence, Set
from copy import deepcopy
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

ReplaceTensor = Callable[[str, Tensor], Tensor]
REGISTERED_DICTS = ("_parameters", "_buffers", "_modules")
MODULE_INTERNALS = frozenset(vars(nn.Module()))
SKIPPED_TYPES = (type, ModuleType, FunctionType, str, bytes, int, float, complex, type(None), torch.Generator)


def find_unsaved_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Return every tensor that a network holds and its state dict does not, by its path ("norm.means[0]")."""
    saved_ids = {id(tensor) for tensor in network.state_dict(keep_vars=True).values()}
    unsaved: dict[str, Tensor] = {}

    def collect_unsaved(path: str, tensor: Tensor) -> Tensor:
        if id(tensor) not in saved_ids:
            unsaved[path] = tensor
        return tensor

    _TensorReplacer(collect_unsaved).replace_in_module(network, "")
    return unsaved


def move_network(
    network: nn.Module, device: str | torch.device | None = None, dtype: torch.dtype | None = None
) -> nn.Module:
    """Move a network in place, with every tensor that it holds; floating-point ones get `dtype`. Ties stay.

    A tensor that needs no move stays the same object.
    """

    def move_tensor(_: str, tensor: Tensor) -> Tensor:
        if is_lazy(tensor):
            return tensor
        moved: Tensor = tensor.detach().to(device=device, dtype=dtype if tensor.is_floating_point() else None)
        if (moved.device, moved.dtype) == (tensor.device, tensor.dtype):
            return tensor
        if isinstance(tensor, nn.Parameter):
            return nn.Parameter(moved, requires_grad=tensor.requires_grad)
        moved.requires_grad_(tensor.requires_grad)
        return moved

    _TensorReplacer(move_tensor).replace_in_module(network, "")
    for module in network.modules():
        if isinstance(module, nn.RNNBase):
            module.flatten_parameters()  # cuDNN wants the moved weights in one block again
    return network


def copy_to_meta(network: nn.Module) -> nn.Module:
    """Return a copy of the network on the meta device, where nothing is computed."""
    return move_network(deepcopy(network), "meta")


class _TensorReplacer:
    """Replaces each tensor by what `replace_tensor` returns for it, and a tensor held twice by the same one.

    Attributes:
        replaced_by_id: the old and the new value, by the old one's id, which stays unique while the old one is kept.
    """

    def __init__(self, replace_tensor: ReplaceTensor) -> None:
        self.replace_tensor = replace_tensor
        self.replaced_by_id: dict[int, tuple[Any, Any]] = {}

    def replace_in_module(self, module: nn.Module, path: str) -> None:
        attributes = vars(module)
        prefix = f"{path}." if path else ""
        for registered in (attributes[name] for name in REGISTERED_DICTS):
            for name, value in registered.items():
                registered[name] = self.replace_in_value(value, prefix + name)
        for name in [name for name in attributes if name not in MODULE_INTERNALS]:
            attributes[name] = self.replace_in_value(attributes[name], prefix + name)

    def replace_in_value(self, value: Any, path: str) -> Any:
        """Return what replaces `value`: itself wherever it could be changed in place."""
        if isinstance(value, SKIPPED_TYPES):
            return value
        if id(value) not in self.replaced_by_id:
            # Entered before its parts are looked at, because one of them may hold the value itself.
            self.replaced_by_id[id(value)] = value, value
            self.replaced_by_id[id(value)] = value, self._replace_inside(value, path)
        return self.replaced_by_id[id(value)][1]

    def _replace_inside(self, value: Any, path: str) -> Any:
        if isinstance(value, Tensor):
            return self.replace_tensor(path, value)
        if isinstance(value, nn.Module):
            self.replace_in_module(value, path)
        elif isinstance(value, MethodType):
            self.replace_in_value(value.__self__, path)
        elif isinstance(value, partial):
            return self._rebuild_partial(value, path)
        elif isinstance(value, tuple | Set):
            return self._rebuild_immutable(value, path)
        elif isinstance(value, MutableMapping):
            for key in list(value):
                self._replace_item(value, key, f"{path}[{key!r}]")
        elif isinstance(value, MutableSequence):
            for index in range(len(value)):
                self._replace_item(value, index, f"{path}[{index}]")
        else:
            self._replace_in_object(value, path)
        return value

    def _replace_item(self, container: Any, key: Any, path: str) -> None:
        new = self.replace_in_value(container[key], path)
        if new is not container[key]:
            container[key] = new

    def _rebuild_immutable(self, value: Any, path: str) -> Any:
        """Return a tuple or set with replaced parts, the same object where no part changed."""
        parts = [self.replace_in_value(part, f"{path}[{index}]") for index, part in enumerate(value)]
        if all(new is old for new, old in zip(parts, value, strict=True)):
            return value
        is_named_tuple = hasattr(value, "_fields")
        return type(value)(*parts) if is_named_tuple else type(value)(parts)

    def _rebuild_partial(self, value: Any, path: str) -> Any:
        function = self.replace_in_value(value.func, path)
        arguments = self.replace_in_value(value.args, path)
        keywords = {key: self.replace_in_value(part, f"{path}.{key}") for key, part in value.keywords.items()}
        is_unchanged = all(keywords[key] is part for key, part in value.keywords.items())
        return value if is_unchanged and arguments is value.args else type(value)(function, *arguments, **keywords)

    def _replace_in_object(self, value: Any, path: str) -> None:
        slots = [slot for base in type(value).__mro__ for slot in _list_slots(base)]
        attributes = {slot: getattr(value, slot) for slot in slots if hasattr(value, slot)}
        attributes |= getattr(value, "__dict__", {})
        for name, old in attributes.items():
            new = self.replace_in_value(old, f"{path}.{name}")
            if new is not old:
                object.__setattr__(value, name, new)  # a frozen dataclass, too


def _list_slots(cls: type) -> tuple[str, ...]:
    slots = cls.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)
