"""A network layer by layer, in the order of their calls: shapes, parameters, multiply-accumulates."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from convarium.architectures.unsaved_tensors import copy_to_meta
from convarium.cost.flop_counter import build_flop_counter


@dataclass(frozen=True)
class Layer:
    """What one module does for one image.

    Attributes:
        name: in the network; "" is the network itself.
        type: the module's class.
        output: the shape of what its first call returns, images first; None where it is never called by itself.
        calls: how often it is called.
        parameters: how many of its own, without those of modules inside it; a tied one counts where it comes first.
        macs: those of its own operations, of all its calls.
        tensor_names: the names of its parameters and buffers that a state dict holds.
    """

    name: str
    type: str
    output: tuple[int, ...] | None
    calls: int
    parameters: int
    macs: int
    tensor_names: tuple[str, ...]


@dataclass
class _CallRecord:
    output: tuple[int, ...] | None = None
    calls: int = 0
    operations: int = 0


@dataclass
class _CallTracker:
    """Gives every floating-point operation to the innermost module that is at work when it is done."""

    flop_counter: FlopCounterMode
    records: dict[nn.Module, _CallRecord] = field(default_factory=dict)
    active_modules: list[nn.Module] = field(default_factory=list)
    assigned_flops: int = 0

    def enter_module(self, module: nn.Module, _inputs: Any) -> None:
        self._assign_new_flops()
        self.records.setdefault(module, _CallRecord()).calls += 1
        self.active_modules.append(module)

    def leave_module(self, module: nn.Module, _inputs: Any, output: Any) -> None:
        self._assign_new_flops()
        self.active_modules.pop()
        seen = self.records[module]
        seen.output = seen.output or _find_output_shape(output)

    def _assign_new_flops(self) -> None:
        total = self.flop_counter.get_total_flops()
        if self.active_modules:
            self.records[self.active_modules[-1]].operations += total - self.assigned_flops
        self.assigned_flops = total


def list_layers(network: nn.Module, shape: Sequence[int]) -> list[Layer]:
    """Return the modules that work for an image of `shape` (C, H, W): leaves, and others with work of their own.

    A matrix product that is not a module (attention) is that of the module in whose code it stands, so that the columns
    add up to the network's parameters and to `measurement.macs.count_macs`. What has parameters and is never called by
    itself (an auxiliary classifier, a projection that its owner reads) comes last. Counted on the meta device.
    """
    meta = copy_to_meta(network).eval()
    with torch.no_grad(), build_flop_counter() as operations:
        watch = _CallTracker(operations)
        for module in meta.modules():
            module.register_forward_pre_hook(watch.enter_module)
            module.register_forward_hook(watch.leave_module)
        meta(torch.empty(1, *shape, device="meta"))
    names = {module: name for name, module in meta.named_modules()}
    return list(_build_layers(network, {names[module]: seen for module, seen in watch.records.items()}))


def _build_layers(network: nn.Module, seen: dict[str, _CallRecord]) -> Iterator[Layer]:
    """Yield the rows of the network itself, whose state dict says which tensors are stored."""
    modules = dict(network.named_modules())
    stored, told = set(network.state_dict()), set[int]()
    for name in dict.fromkeys([*seen, *modules]):
        work, module = seen.get(name, _CallRecord()), modules[name]
        own = [parameter for parameter in module.parameters(recurse=False) if id(parameter) not in told]
        told |= {id(parameter) for parameter in own}
        tensors = [f"{name}.{leaf}" if name else leaf for leaf in (*module._parameters, *module._buffers)]
        is_leaf = work.calls and not any(module.children())
        if is_leaf or own or work.operations:
            yield Layer(
                name, type(module).__name__, work.output, work.calls, sum(one.numel() for one in own),
                work.operations // 2, tuple(tensor for tensor in tensors if tensor in stored),
            )  # fmt: skip


def _find_output_shape(output: Any) -> tuple[int, ...] | None:
    """Return the shape of a tensor, or of the first one in what holds several."""
    if isinstance(output, Tensor):
        return tuple(output.shape)
    inside = output.values() if isinstance(output, dict) else output if isinstance(output, list | tuple) else ()
    return next((shape for one in inside if (shape := _find_output_shape(one)) is not None), None)
