"""The chain of module calls from a layer back to the image, recorded while the network runs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from convarium.config.messages import suggest_nearest
from convarium.errors import UserError
from convarium.measurement.deconvnet.transposes import Transpose, build_transpose


@dataclass(frozen=True, eq=False)
class ModuleCall:
    """One call of a module.

    Attributes:
        name: of the module.
        output_shape: the shape of what it returned.
        previous_call: the call whose output it took; None where that was the image, or what no module returned.
        takes_image: whether it took the image.
        transpose: the way back through it; None where there is none.
    """

    name: str
    module: nn.Module
    output_shape: tuple[int, ...]
    previous_call: "ModuleCall | None"
    takes_image: bool
    transpose: Transpose | None


@dataclass
class _CallTracer:
    """Records the calls of a network's modules, and which call returned each tensor last.

    A tensor that was changed in place after its call is attributed to none.
    """

    names: dict[nn.Module, str]
    image: Tensor
    calls: list[ModuleCall] = field(default_factory=list)
    call_by_tensor: dict[int, tuple[Tensor, int, ModuleCall]] = field(default_factory=dict)
    open_calls: list[tuple["ModuleCall | None", bool, Transpose | None]] = field(default_factory=list)

    def enter_module(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        x = inputs[0] if inputs and isinstance(inputs[0], Tensor) else None
        if x is None:
            self.open_calls.append((None, False, None))
            return
        takes_image = x is self.image and x._version == 0
        self.open_calls.append((self._find_source_call(x), takes_image, build_transpose(module, x)))

    def leave_module(self, module: nn.Module, _inputs: Any, output: Any) -> None:
        previous_call, takes_image, transpose = self.open_calls.pop()
        if not isinstance(output, Tensor):
            return
        if any(module.children()) and self._find_source_call(output):
            return  # a container returns what one of its children has returned
        call = ModuleCall(self.names[module], module, tuple(output.shape), previous_call, takes_image, transpose)
        self.calls.append(call)
        # The tensor is kept too: Python would give the id of a freed one to another.
        self.call_by_tensor[id(output)] = (output, output._version, call)

    def _find_source_call(self, x: Tensor) -> ModuleCall | None:
        _, version, call = self.call_by_tensor.get(id(x), (x, -1, None))
        return call if version == x._version else None  # PyTorch counts changes in place in `_version`


def trace_calls(network: nn.Module, image: Tensor) -> list[ModuleCall]:
    """Return the calls of modules, in their order, while a network in evaluation mode runs an image (1, C, H, W)."""
    image = image.clone()  # a fresh tensor, whose `_version` is 0
    tracer = _CallTracer({module: name for name, module in network.named_modules()}, image)
    hooks = []
    for module in network.modules():
        hooks += [
            module.register_forward_pre_hook(tracer.enter_module),
            module.register_forward_hook(tracer.leave_module),
        ]
    try:
        with torch.no_grad():
            network(image)
    finally:
        for hook in hooks:
            hook.remove()
    return tracer.calls


def trace_path_to_image(recorded_calls: Sequence[ModuleCall], layer: str) -> list[ModuleCall]:
    """Return the calls from `layer` back to the image.

    Raises:
        UserError: no such layer, or its way back is not a chain; names the module at which it breaks, of several the
            one nearest to the image.
    """
    first_calls = {call.name: call for call in reversed(recorded_calls)}
    if layer not in first_calls:
        raise UserError(f"--layer {layer}: the network has no such layer{suggest_nearest(layer, first_calls)}")
    layer_call = first_calls[layer]
    break_call = _find_break(layer_call)
    if break_call is not None:
        raise UserError(f"--layer {layer}: the way back to the pixels is not a chain: {_explain_break(break_call)}")
    return list(_iterate_back(layer_call))


def select_default_layer(recorded_calls: Sequence[ModuleCall]) -> str:
    """Return the last convolution that a chain leads back from, of those whose maps have more than one pixel if any.

    Raises:
        UserError: there is none.
    """
    convolutions = [call for call in recorded_calls if isinstance(call.module, nn.Conv2d)]
    candidates = [call for call in convolutions if _find_break(call) is None]
    if not candidates:
        break_call = _find_break(convolutions[0]) if convolutions else None
        reason = f": {_explain_break(break_call)}" if break_call else ""
        raise UserError(f"--deconvnet: the network has no convolution that a chain of layers leads back from{reason}")
    spatial_candidates = [call for call in candidates if max(call.output_shape[2:]) > 1]
    return (spatial_candidates or candidates)[-1].name


def _iterate_back(call: ModuleCall | None) -> Iterator[ModuleCall]:
    while call is not None:
        yield call
        call = call.previous_call


def _find_break(call: ModuleCall) -> ModuleCall | None:
    """Return the call nearest to the image at which the way back from `call` breaks, None where it does not."""
    break_call = None
    for previous in _iterate_back(call):
        has_lost_image = previous.previous_call is None and not previous.takes_image
        if previous.transpose is None or has_lost_image:
            break_call = previous
    return break_call


def _explain_break(call: ModuleCall) -> str:
    module_text = f"{call.name or 'the network'} ({type(call.module).__name__})"
    if call.transpose is None:
        return f"{module_text} is not a plain convolution, batch norm, rectifier or pooling"
    return f"{module_text} takes what is not a single layer's output (a sum, parts put together, a reshaped tensor)"
