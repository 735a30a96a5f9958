"""A table of a network's layers, in the order of their calls: shapes, parameters, multiply-accumulates."""

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
        output: shape of what its first call returns, images first; None where it is never called by itself.
        calls: how often it is called.
        parameters: of the module itself, without those of its children; a tied one counts where it comes first.
        macs: of its own operations, over all calls.
        tensor_names: names of its parameters and buffers that a state dict holds.
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
    flops: int = 0


@dataclass
class _CallTracker:
    """Assigns every floating-point operation to the innermost module that is being called."""

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
        record = self.records[module]
        record.output = record.output or _find_output_shape(output)

    def _assign_new_flops(self) -> None:
        total = self.flop_counter.get_total_flops()
        if self.active_modules:
            self.records[self.active_modules[-1]].flops += total - self.assigned_flops
        self.assigned_flops = total


def list_layers(network: nn.Module, shape: Sequence[int]) -> list[Layer]:
    """Return the layers that an image of `shape` (C, H, W) passes: leaf modules, and others with work of their own.

    A matrix product that is not a module (attention) counts for the module whose code it is in, so that the columns add
    up to the network's parameters and to `cost.macs.count_macs`. A module that has parameters and is never called by
    itself (an auxiliary classifier, a projection that its owner reads) comes last. Counted on the meta device.
    """
    meta_network = copy_to_meta(network).eval()
    with torch.no_grad(), build_flop_counter() as flop_counter:
        tracker = _CallTracker(flop_counter)
        for module in meta_network.modules():
            module.register_forward_pre_hook(tracker.enter_module)
            module.register_forward_hook(tracker.leave_module)
        meta_network(torch.empty(1, *shape, device="meta"))
    names = {module: name for name, module in meta_network.named_modules()}
    records = {names[module]: record for module, record in tracker.records.items()}
    return list(_build_layers(network, records))


def _build_layers(network: nn.Module, records: dict[str, _CallRecord]) -> Iterator[Layer]:
    """Yield the layers of the network itself, whose state dict says which tensors are stored."""
    modules = dict(network.named_modules())
    stored_names = set(network.state_dict())
    counted_ids: set[int] = set()
    for name in dict.fromkeys([*records, *modules]):
        record, module = records.get(name, _CallRecord()), modules[name]
        parameters = [parameter for parameter in module.parameters(recurse=False) if id(parameter) not in counted_ids]
        counted_ids |= {id(parameter) for parameter in parameters}
        is_called_leaf = record.calls and not any(module.children())
        if not (is_called_leaf or parameters or record.flops):
            continue
        tensor_names = [f"{name}.{leaf}" if name else leaf for leaf in (*module._parameters, *module._buffers)]
        yield Layer(
            name=name,
            type=type(module).__name__,
            output=record.output,
            calls=record.calls,
            parameters=sum(parameter.numel() for parameter in parameters),
            macs=record.flops // 2,
            tensor_names=tuple(tensor_name for tensor_name in tensor_names if tensor_name in stored_names),
        )


def _find_output_shape(output: Any) -> tuple[int, ...] | None:
    """Return the shape of a tensor, or of the first tensor in a dict, list or tuple."""
    if isinstance(output, Tensor):
        return tuple(output.shape)
    entries = output.values() if isinstance(output, dict) else output
    if isinstance(output, dict | list | tuple):
        for entry in entries:
            shape = _find_output_shape(entry)
            if shape is not None:
                return shape
    return None
