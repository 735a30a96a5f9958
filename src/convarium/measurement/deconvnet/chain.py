"""The chain of calls from a layer back to the image, seen while the network runs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from convarium.config.words import suggestion
from convarium.errors import UserError
from convarium.measurement.deconvnet.transposes import Back, back_through


@dataclass(frozen=True, eq=False)
class Call:
    """One module at work.

    Attributes:
        name: of the module.
        maps: the shape of what it returned.
        before: the call whose output it took; None where that was the image, or what no module returned.
        takes_image: whether it took the image.
        back: the way back through it; None where there is none.
    """

    name: str
    module: nn.Module
    maps: tuple[int, ...]
    before: "Call | None"
    takes_image: bool
    back: Back | None


@dataclass
class _Trace:
    """Knows every tensor by which call returned it last; one changed in place by other code is nobody's."""

    names: dict[nn.Module, str]
    image: Tensor
    calls: list[Call] = field(default_factory=list)
    origin: dict[int, tuple[Tensor, int, Call]] = field(default_factory=dict)
    waiting: list[tuple["Call | None", bool, Back | None]] = field(default_factory=list)

    def begin(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        x = inputs[0] if inputs and isinstance(inputs[0], Tensor) else None
        if x is None:
            self.waiting.append((None, False, None))
        else:
            self.waiting.append((self._of(x), x is self.image and x._version == 0, back_through(module, x)))

    def end(self, module: nn.Module, _inputs: Any, output: Any) -> None:
        before, takes_image, back = self.waiting.pop()
        if not isinstance(output, Tensor) or (any(module.children()) and self._of(output)):
            return  # of a module around others, what it returns is an inner one's
        call = Call(self.names[module], module, tuple(output.shape), before, takes_image, back)
        self.calls.append(call)
        self.origin[id(output)] = (output, output._version, call)

    def _of(self, x: Tensor) -> Call | None:
        _, version, call = self.origin.get(id(x), (x, -1, None))
        return call if version == x._version else None


def calls(network: nn.Module, image: Tensor) -> list[Call]:
    """Return the calls of an image (1, C, H, W) through a network in evaluation mode, in their order."""
    image = image.clone()
    trace = _Trace({module: name for name, module in network.named_modules()}, image)
    hooks = []
    for module in network.modules():
        hooks += [module.register_forward_pre_hook(trace.begin), module.register_forward_hook(trace.end)]
    try:
        with torch.no_grad():
            network(image)
    finally:
        for hook in hooks:
            hook.remove()
    return trace.calls


def chain(found: Sequence[Call], layer: str) -> list[Call]:
    """Return the calls from `layer` back to the image.

    Raises:
        UserError: no such layer, or its way back is not a chain; names the module at which it breaks, of several the
            one nearest to the image.
    """
    named = {call.name: call for call in reversed(found)}
    if layer not in named:
        raise UserError(f"--layer {layer}: the network has no such layer{suggestion(layer, named)}")
    if (broken := _broken(named[layer])) is not None:
        raise UserError(f"--layer {layer}: the way back to the pixels is not a chain: {_why(broken)}")
    return list(_back(named[layer]))


def usual_layer(found: Sequence[Call]) -> str:
    """Return the last convolution that a chain leads back from, of those whose maps have more than one pixel if any.

    Raises:
        UserError: there is none.
    """
    convolutions = [call for call in found if isinstance(call.module, nn.Conv2d)]
    whole = [call for call in convolutions if _broken(call) is None]
    if not whole:
        broken = _broken(convolutions[0]) if convolutions else None
        why = f": {_why(broken)}" if broken else ""
        raise UserError(f"--deconvnet: the network has no convolution that a chain of layers leads back from{why}")
    return ([call for call in whole if max(call.maps[2:]) > 1] or whole)[-1].name


def _back(call: Call | None) -> Iterator[Call]:
    while call is not None:
        yield call
        call = call.before


def _broken(call: Call) -> Call | None:
    """Return where the way back from a call breaks, nearest to the image."""
    broken = None
    for one in _back(call):
        if one.back is None or (one.before is None and not one.takes_image):
            broken = one
    return broken


def _why(call: Call) -> str:
    what = f"{call.name or 'the network'} ({type(call.module).__name__})"
    if call.back is None:
        return f"{what} is not a plain convolution, batch norm, rectifier or pooling"
    return f"{what} takes what is not a single layer's output (a sum, parts put together, a reshaped tensor)"
