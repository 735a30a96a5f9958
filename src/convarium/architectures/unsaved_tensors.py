"""Tensors that a network holds outside its state dict: plain attributes, and buffers that are not persistent.

`torch.nn.Module.to` moves parameters and buffers only; `move_network` takes along what else the forward pass may read:
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
    """Return every tensor that a network holds and its state dict does not, by where it is ("norm.means[0]")."""
    stored = {id(tensor) for tensor in network.state_dict(keep_vars=True).values()}
    found: dict[str, Tensor] = {}

    def note(path: str, tensor: Tensor) -> Tensor:
        if id(tensor) not in stored:
            found[path] = tensor
        return tensor

    _TensorReplacer(note).replace_in_module(network, "")
    return found


def move_network(
    network: nn.Module, device: str | torch.device | None = None, dtype: torch.dtype | None = None
) -> nn.Module:
    """Move a network in place, with every tensor that it holds; floating-point ones get `dtype`. Ties stay.

    What is there already stays the same object.
    """

    def moved(_: str, tensor: Tensor) -> Tensor:
        if is_lazy(tensor):
            return tensor
        other: Tensor = tensor.detach().to(device=device, dtype=dtype if tensor.is_floating_point() else None)
        if (other.device, other.dtype) == (tensor.device, tensor.dtype):
            return tensor
        if isinstance(tensor, nn.Parameter):
            return nn.Parameter(other, requires_grad=tensor.requires_grad)
        other.requires_grad_(tensor.requires_grad)
        return other

    _TensorReplacer(moved).replace_in_module(network, "")
    for module in network.modules():
        if isinstance(module, nn.RNNBase):
            module.flatten_parameters()
    return network


def copy_to_meta(network: nn.Module) -> nn.Module:
    """Return a copy on the meta device, where nothing is computed; the network itself stays as it is."""
    return move_network(deepcopy(network), "meta")


class _TensorReplacer:
    """Replaces each tensor by what `replace_tensor` gives for it, once however often it is held."""

    def __init__(self, replace_tensor: ReplaceTensor) -> None:
        self.replace_tensor = replace_tensor
        self.replaced_by_id: dict[
            int, tuple[Any, Any]
        ] = {}  # by id: what was there, which so stays alive, and what is there now

    def replace_in_module(self, module: nn.Module, path: str) -> None:
        held = vars(module)
        prefix = f"{path}." if path else ""
        for kind in REGISTERED_DICTS:
            for leaf in held[kind]:
                held[kind][leaf] = self.replace_in_value(held[kind][leaf], prefix + leaf)
        for leaf in [leaf for leaf in held if leaf not in MODULE_INTERNALS]:
            held[leaf] = self.replace_in_value(held[leaf], prefix + leaf)

    def replace_in_value(self, value: Any, path: str) -> Any:
        """Return what stands in the place of `value` now: itself wherever it could be changed in place."""
        if isinstance(value, SKIPPED_TYPES):
            return value
        if id(value) not in self.replaced_by_id:
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
            for place in range(len(value)):
                self._replace_item(value, place, f"{path}[{place}]")
        else:
            self._replace_in_object(value, path)
        return value

    def _replace_item(self, holder: Any, key: Any, path: str) -> None:
        new = self.replace_in_value(holder[key], path)
        if new is not holder[key]:
            holder[key] = new

    def _rebuild_immutable(self, value: Any, path: str) -> Any:
        """What can't be changed in place is made anew where a part of it is another."""
        parts = [self.replace_in_value(part, f"{path}[{place}]") for place, part in enumerate(value)]
        if all(new is old for new, old in zip(parts, value, strict=True)):
            return value
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)

    def _rebuild_partial(self, value: Any, path: str) -> Any:
        function, arguments = self.replace_in_value(value.func, path), self.replace_in_value(value.args, path)
        named = {key: self.replace_in_value(part, f"{path}.{key}") for key, part in value.keywords.items()}
        same = all(named[key] is part for key, part in value.keywords.items())
        return value if same and arguments is value.args else type(value)(function, *arguments, **named)

    def _replace_in_object(self, value: Any, path: str) -> None:
        slots = [slot for kind in type(value).__mro__ for slot in _list_slots(kind)]
        held = {slot: getattr(value, slot) for slot in slots if hasattr(value, slot)} | getattr(value, "__dict__", {})
        for leaf, old in held.items():
            new = self.replace_in_value(old, f"{path}.{leaf}")
            if new is not old:
                object.__setattr__(value, leaf, new)  # a frozen dataclass, too


def _list_slots(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)
