"""Tensors that a network holds outside its state dict: plain attributes, and buffers that are not persistent.

`torch.nn.Module.to` moves parameters and buffers only; `move` takes along what else the forward pass may read: tensors
in attributes of modules, and in the lists, dicts, tuples, dataclasses and other objects that these hold.
"""

from collections.abc import Callable, MutableMapping, MutableSequence, Set
from copy import deepcopy
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

Change = Callable[[str, Tensor], Tensor]
REGISTERED = ("_parameters", "_buffers", "_modules")
INTERNAL = frozenset(vars(nn.Module()))
CLOSED = (type, ModuleType, FunctionType, str, bytes, int, float, complex, type(None), torch.Generator)


def find_loose_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Return every tensor that a network holds and its state dict does not, by where it is ("norm.means[0]")."""
    stored = {id(tensor) for tensor in network.state_dict(keep_vars=True).values()}
    found: dict[str, Tensor] = {}

    def note(path: str, tensor: Tensor) -> Tensor:
        if id(tensor) not in stored:
            found[path] = tensor
        return tensor

    _Walk(note).of_module(network, "")
    return found


def move(network: nn.Module, device: str | torch.device | None = None, dtype: torch.dtype | None = None) -> nn.Module:
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

    _Walk(moved).of_module(network, "")
    for module in network.modules():
        if isinstance(module, nn.RNNBase):
            module.flatten_parameters()
    return network


def copied_to_meta(network: nn.Module) -> nn.Module:
    """Return a copy on the meta device, where nothing is computed; the network itself stays as it is."""
    return move(deepcopy(network), "meta")


class _Walk:
    """Replaces each tensor by what `change` gives for it, once however often it is held."""

    def __init__(self, change: Change) -> None:
        self.change = change
        self.seen: dict[int, tuple[Any, Any]] = {}  # by id: what was there, which so stays alive, and what is there now

    def of_module(self, module: nn.Module, path: str) -> None:
        held = vars(module)
        prefix = f"{path}." if path else ""
        for kind in REGISTERED:
            for leaf in held[kind]:
                held[kind][leaf] = self.of_value(held[kind][leaf], prefix + leaf)
        for leaf in [leaf for leaf in held if leaf not in INTERNAL]:
            held[leaf] = self.of_value(held[leaf], prefix + leaf)

    def of_value(self, value: Any, path: str) -> Any:
        """Return what stands in the place of `value` now: itself wherever it could be changed in place."""
        if isinstance(value, CLOSED):
            return value
        if id(value) not in self.seen:
            self.seen[id(value)] = value, value
            self.seen[id(value)] = value, self._new(value, path)
        return self.seen[id(value)][1]

    def _new(self, value: Any, path: str) -> Any:
        if isinstance(value, Tensor):
            return self.change(path, value)
        if isinstance(value, nn.Module):
            self.of_module(value, path)
        elif isinstance(value, MethodType):
            self.of_value(value.__self__, path)
        elif isinstance(value, partial):
            return self._of_partial(value, path)
        elif isinstance(value, tuple | Set):
            return self._of_fixed(value, path)
        elif isinstance(value, MutableMapping):
            for key in list(value):
                self._put(value, key, f"{path}[{key!r}]")
        elif isinstance(value, MutableSequence):
            for place in range(len(value)):
                self._put(value, place, f"{path}[{place}]")
        else:
            self._of_object(value, path)
        return value

    def _put(self, holder: Any, key: Any, path: str) -> None:
        new = self.of_value(holder[key], path)
        if new is not holder[key]:
            holder[key] = new

    def _of_fixed(self, value: Any, path: str) -> Any:
        """What can't be changed in place is made anew where a part of it is another."""
        parts = [self.of_value(part, f"{path}[{place}]") for place, part in enumerate(value)]
        if all(new is old for new, old in zip(parts, value, strict=True)):
            return value
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)

    def _of_partial(self, value: Any, path: str) -> Any:
        function, arguments = self.of_value(value.func, path), self.of_value(value.args, path)
        named = {key: self.of_value(part, f"{path}.{key}") for key, part in value.keywords.items()}
        same = all(named[key] is part for key, part in value.keywords.items())
        return value if same and arguments is value.args else type(value)(function, *arguments, **named)

    def _of_object(self, value: Any, path: str) -> None:
        slots = [slot for kind in type(value).__mro__ for slot in _slots(kind)]
        held = {slot: getattr(value, slot) for slot in slots if hasattr(value, slot)} | getattr(value, "__dict__", {})
        for leaf, old in held.items():
            new = self.of_value(old, f"{path}.{leaf}")
            if new is not old:
                object.__setattr__(value, leaf, new)  # a frozen dataclass, too


def _slots(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)
