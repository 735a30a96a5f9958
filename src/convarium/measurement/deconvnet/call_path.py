"""The chain of calls from a layer back to the image, seen while the network runs."""

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
    """One module at work.

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
    """Knows every tensor by which call returned it last; one changed in place by other code is nobody's."""

    names: dict[nn.Module, str]
    image: Tensor
    calls: list[ModuleCall] = field(default_factory=list)
    call_by_tensor: dict[int, tuple[Tensor, int, ModuleCall]] = field(default_factory=dict)
    open_calls: list[tuple["ModuleCall | None", bool, Transpose | None]] = field(default_factory=list)

    def enter_module(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        x = inputs[0] if inputs and isinstance(inputs[0], Tensor) else None
        if x is None:
            self.open_calls.append((None, False, None))
        else:
            self.open_calls.append(
                (self._find_source_call(x), x is self.image and x._version == 0, build_transpose(module, x))
            )

    def leave_module(self, module: nn.Module, _inputs: Any, output: Any) -> None:
        before, takes_image, back = self.open_calls.pop()
        if not isinstance(output, Tensor) or (any(module.children()) and self._find_source_call(output)):
            return  # of a module around others, what it returns is an inner one's
        call = ModuleCall(self.names[module], module, tuple(output.shape), before, takes_image, back)
        self.calls.append(call)
        self.call_by_tensor[id(output)] = (output, output._version, call)

    def _find_source_call(self, x: Tensor) -> ModuleCall | None:
        _, version, call = self.call_by_tensor.get(id(x), (x, -1, None))
        return call if version == x._version else None


def trace_calls(network: nn.Module, image: Tensor) -> list[ModuleCall]:
    """Return the calls of an image (1, C, H, W) through a network in evaluation mode, in their order."""
    image = image.clone()
    trace = _CallTracer({module: name for name, module in network.named_modules()}, image)
    hooks = []
    for module in network.modules():
        hooks += [
            module.register_forward_pre_hook(trace.enter_module),
            module.register_forward_hook(trace.leave_module),
        ]
    try:
        with torch.no_grad():
            network(image)
    finally:
        for hook in hooks:
            hook.remove()
    return trace.calls


def trace_path_to_image(recorded_calls: Sequence[ModuleCall], layer: str) -> list[ModuleCall]:
    """Return the calls from `layer` back to the image.

    Raises:
        UserError: no such layer, or its way back is not a chain; names the module at which it breaks, of several the
            one nearest to the image.
    """
    named = {call.name: call for call in reversed(recorded_calls)}
    if layer not in named:
        raise UserError(f"--layer {layer}: the network has no such layer{suggest_nearest(layer, named)}")
    if (broken := _find_break(named[layer])) is not None:
        raise UserError(f"--layer {layer}: the way back to the pixels is not a chain: {_explain_break(broken)}")
    return list(_iterate_back(named[layer]))


def select_default_layer(recorded_calls: Sequence[ModuleCall]) -> str:
    """Return the last convolution that a chain leads back from, of those whose maps have more than one pixel if any.

    Raises:
        UserError: there is none.
    """
    convolutions = [call for call in recorded_calls if isinstance(call.module, nn.Conv2d)]
    whole = [call for call in convolutions if _find_break(call) is None]
    if not whole:
        broken = _find_break(convolutions[0]) if convolutions else None
        why = f": {_explain_break(broken)}" if broken else ""
        raise UserError(f"--deconvnet: the network has no convolution that a chain of layers leads back from{why}")
    return ([call for call in whole if max(call.output_shape[2:]) > 1] or whole)[-1].name


def _iterate_back(call: ModuleCall | None) -> Iterator[ModuleCall]:
    while call is not None:
        yield call
        call = call.previous_call


def _find_break(call: ModuleCall) -> ModuleCall | None:
    """Return where the way back from a call breaks, nearest to the image."""
    broken = None
    for one in _iterate_back(call):
        if one.transpose is None or (one.previous_call is None and not one.takes_image):
            broken = one
    return broken


def _explain_break(call: ModuleCall) -> str:
    what = f"{call.name or 'the network'} ({type(call.module).__name__})"
    if call.transpose is None:
        return f"{what} is not a plain convolution, batch norm, rectifier or pooling"
    return f"{what} takes what is not a single layer's output (a sum, parts put together, a reshaped tensor)"
