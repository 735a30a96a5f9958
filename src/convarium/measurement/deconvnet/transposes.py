"""The way back through one layer: unpooling with switches, ReLU of the signal, transposed filters."""

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
    """Return the function from a signal of the shape of `module(x)` back to the shape of `x`; None where there is none.

    Biases and shifts are left out: without rectifiers this is the transpose of the layer's derivative. A module's exact
    class decides, since a subclass may compute something else.

    Args:
        module: a layer in evaluation mode.
        x: float (N, C, H, W), its input; only read now.
    """
    build = TRANSPOSES.get(type(module))
    if build is None or x.dim() != 4:
        return None
    return build(module, x)


def _transpose_convolution(conv: Any, x: Tensor) -> Transpose | None:
    """Transpose a convolution: the same filters, transposed."""
    if conv.padding_mode != "zeros" or isinstance(conv.padding, str):
        return None
    input_shape, weight = x.shape, conv.weight.detach()

    def convolve_back(signal: Tensor) -> Tensor:
        geometry = (conv.stride, conv.padding, conv.dilation, conv.groups)
        # conv_transpose2d doesn't take the input's shape, which a stride leaves open.
        pixels: Tensor = conv2d_input(input_shape, weight, signal, *geometry)  # type: ignore[no-untyped-call]
        return pixels

    return convolve_back


def _transpose_batch_norm(norm: Any, _x: Tensor) -> Transpose | None:
    """Multiply by the norm's scale, with the statistics of training; without them it is not a fixed map."""
    if norm.running_var is None:
        return None
    scale = (norm.running_var + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.detach()
    scale = scale.reshape(1, -1, 1, 1)
    return lambda signal: signal * scale


def _transpose_local_response(norm: Any, x: Tensor) -> Transpose:
    """Divide by what the image's maps were divided by, kept like a switch; the paper doesn't say."""
    # The window across channels as torch's local_response_norm pads and averages it.
    squares = functional.pad(x.square().unsqueeze(1), (0, 0, 0, 0, norm.size // 2, (norm.size - 1) // 2))
    mean = functional.avg_pool3d(squares, (norm.size, 1, 1), 1).squeeze(1)
    divisor = (norm.k + norm.alpha * mean) ** norm.beta
    return lambda signal: signal / divisor


def _transpose_max_pool(pool: Any, x: Tensor) -> Transpose:
    """Unpool: each value goes where its maximum was; where windows overlap, values for one position are added."""
    _, switches = functional.max_pool2d(
        x, pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode, return_indices=True
    )
    return _build_unpooling(x.shape, switches)


def _transpose_global_max_pool(pool: Any, x: Tensor) -> Transpose:
    _, switches = functional.adaptive_max_pool2d(x, pool.output_size, return_indices=True)
    return _build_unpooling(x.shape, switches)


def _build_unpooling(input_shape: torch.Size, switches: Tensor) -> Transpose:
    def unpool(signal: Tensor) -> Tensor:
        # torch.nn.MaxUnpool2d would keep one of the values for a position that is the maximum of several windows.
        zeros = signal.new_zeros(input_shape).flatten(2)
        return zeros.scatter_add(2, switches.flatten(2), signal.flatten(2)).reshape(input_shape)

    return unpool


def _transpose_average_pool(pool: Any, x: Tensor) -> Transpose:
    """Spread each value over its window, in equal parts."""
    zeros = torch.zeros_like(x)

    def spread(signal: Tensor) -> Tensor:
        # Averaging is linear, so its derivative at any input is the map itself.
        compute_transpose = torch.func.vjp(pool, zeros)[1]
        gradients: tuple[Tensor] = compute_transpose(signal)
        return gradients[0]

    return spread


def _transpose_rectifier(_module: Any, _x: Tensor) -> Transpose:
    """Take the ReLU of the signal, whatever the sign of the layer's input: section 2.1, "rectification"."""
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
