"""The way back through one layer: unpooling with switches, ReLU of the signal itself, transposed filters."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.grad import conv2d_input

from convarium.architectures.blocks.activations import Swish
from convarium.architectures.blocks.dropout import DropConnectConv2d

Transpose = Callable[[Tensor], Tensor]


def build_transpose(module: nn.Module, x: Tensor) -> Transpose | None:
    """Return what takes a signal of the shape of `module(x)` back to the shape of `x`; None where the paper has no way.

    Biases and shifts are left out: without rectifiers this is the transpose of the layer's derivative. A module's exact
    class decides, since a subclass may compute something else.

    Args:
        module: a layer in evaluation mode.
        x: float (N, C, H, W), what it is called with; only read now.
    """
    make = TRANSPOSES.get(type(module))
    return make(module, x) if make and x.dim() == 4 else None


def _transpose_convolution(conv: Any, x: Tensor) -> Transpose | None:
    """The same filters, transposed."""
    if conv.padding_mode != "zeros" or isinstance(conv.padding, str):
        return None
    size, weight = x.shape, conv.weight.detach()

    def back(signal: Tensor) -> Tensor:
        place = (conv.stride, conv.padding, conv.dilation, conv.groups)
        transposed: Tensor = conv2d_input(size, weight, signal, *place)  # type: ignore[no-untyped-call]
        return transposed

    return back


def _transpose_batch_norm(norm: Any, _x: Tensor) -> Transpose | None:
    """Its scale, with the statistics of training; without them it is not a fixed map."""
    if norm.running_var is None:
        return None
    scale = (norm.running_var + norm.eps).rsqrt()
    scale = (scale if norm.weight is None else scale * norm.weight.detach()).reshape(1, -1, 1, 1)
    return lambda signal: signal * scale


def _transpose_local_response(norm: Any, x: Tensor) -> Transpose:
    """Division by what the image's maps were divided by, held like a switch; the paper doesn't say."""
    squares = functional.pad(x.square().unsqueeze(1), (0, 0, 0, 0, norm.size // 2, (norm.size - 1) // 2))
    mean = functional.avg_pool3d(squares, (norm.size, 1, 1), 1).squeeze(1)
    divisor = (norm.k + norm.alpha * mean) ** norm.beta
    return lambda signal: signal / divisor


def _transpose_max_pool(pool: Any, x: Tensor) -> Transpose:
    """Unpooling: each value goes where its maximum was; where windows overlap, values for one place are added.

    (torch.nn.MaxUnpool2d keeps one of them.)
    """
    _, switches = functional.max_pool2d(
        x, pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode, return_indices=True
    )
    return _build_unpooling(x.shape, switches)


def _transpose_global_max_pool(pool: Any, x: Tensor) -> Transpose:
    _, switches = functional.adaptive_max_pool2d(x, pool.output_size, return_indices=True)
    return _build_unpooling(x.shape, switches)


def _build_unpooling(size: torch.Size, switches: Tensor) -> Transpose:
    def back(signal: Tensor) -> Tensor:
        flat = signal.new_zeros(size).flatten(2)
        return flat.scatter_add(2, switches.flatten(2), signal.flatten(2)).reshape(size)

    return back


def _transpose_average_pool(pool: Any, x: Tensor) -> Transpose:
    """Each value spread over its window, in equal parts."""
    like = torch.zeros_like(x)

    def back(signal: Tensor) -> Tensor:
        spread: tuple[Tensor] = torch.func.vjp(pool, like)[1](signal)
        return spread[0]

    return back


def _transpose_rectifier(_module: Any, _x: Tensor) -> Transpose:
    """ReLU of the signal, whatever the sign of what came in: section 2.1, "rectification"."""
    return torch.relu


def _transpose_identity(_module: Any, _x: Tensor) -> Transpose:
    return lambda signal: signal


RECTIFIERS: tuple[type[nn.Module], ...] = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.RReLU, nn.PReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Mish,
    nn.Softplus, Swish,
)  # fmt: skip
TRANSPOSES: dict[type[nn.Module], Callable[[Any, Tensor], Transpose | None]] = {
    nn.Conv2d: _transpose_convolution,
    DropConnectConv2d: _transpose_convolution,
    nn.BatchNorm2d: _transpose_batch_norm,
    nn.LocalResponseNorm: _transpose_local_response,
    nn.MaxPool2d: _transpose_max_pool,
    nn.AdaptiveMaxPool2d: _transpose_global_max_pool,
    nn.AvgPool2d: _transpose_average_pool,
    nn.AdaptiveAvgPool2d: _transpose_average_pool,
    nn.Dropout: _transpose_identity,
    nn.Dropout2d: _transpose_identity,
    nn.Identity: _transpose_identity,
    **dict.fromkeys(RECTIFIERS, _transpose_rectifier),
}
