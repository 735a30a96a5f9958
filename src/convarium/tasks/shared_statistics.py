"""Batch statistics over the images of all ranks, so that one device and eight are the same experiment."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, distributed
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class SharedStatistics(TorchFunctionMode):
    """While it is entered, batch normalisation in training takes its mean and variance over all ranks.

    It stands between layers and torch, since libraries have batch norms of their own classes, which call the same
    function. torch's SyncBatchNorm is a class too, and refuses the CPU.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is functional.batch_norm:
            return _normalise_batch(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


class _SharedNormalisation(torch.autograd.Function):
    """What torch's `batch_norm` does in training, over the images of all ranks.

    Ranks meet once on the way forward and once on the way back; torch's own kernels do the rest, so that a rank keeps
    no more for the backward pass than one process does.
    """

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the normalised values, the mean, the variance and how many values are behind each of them."""
        mean, variance, count = _compute_statistics(values)
        scale = torch.ones_like(mean) if weight is None else weight
        ctx.save_for_backward(values, scale, mean, variance, count)
        ctx.eps, ctx.has_weight, ctx.has_bias = eps, weight is not None, bias is not None
        ctx.mark_non_differentiable(mean, variance, count)
        return functional.batch_norm(values, mean, variance, weight, bias, False, 0.0, eps), mean, variance, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the values (of all ranks' losses), and of weight and bias (of this rank's)."""
        values, scale, mean, variance, count = ctx.saved_tensors
        # As if mean and variance did not depend on the values; then what comes of that they do.
        value_gradient, scale_gradient, shift_gradient = torch.ops.aten.native_batch_norm_backward(
            gradient, values, scale, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        sums = torch.cat([scale_gradient, shift_gradient])
        distributed.all_reduce(sums)
        scale_mean, shift_mean = (sums / count).chunk(2)
        inverse_deviation = torch.rsqrt(variance + ctx.eps)
        factor = scale * inverse_deviation
        centred = values - _align(mean, values)
        value_gradient.addcmul_(centred, _align(factor * inverse_deviation * scale_mean, values), value=-1)
        value_gradient.sub_(_align(factor * shift_mean, values))
        return (
            value_gradient, scale_gradient if ctx.has_weight else None, shift_gradient if ctx.has_bias else None, None
        )  # fmt: skip


def _compute_statistics(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean and variance of each channel over all ranks, and how many values are behind each of them.

    Each rank's mean and squares of what differs from it are joined as by Chan, Golub and LeVeque (1983): sums of plain
    squares lose all digits where the mean is far from 0.
    """
    channels = values.shape[1]
    others = [dimension for dimension in range(values.dim()) if dimension != 1]
    own_mean = values.mean(others)
    own_squares = (values - _align(own_mean, values)).square_().sum(others)
    own = torch.cat([own_mean, own_squares, values.new_tensor([values.numel() / channels])])
    gathered = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
    distributed.all_gather(gathered, own)
    means, squares, counts = torch.split(torch.stack(gathered), [channels, channels, 1], dim=1)
    count = counts.sum()
    mean = (means * counts).sum(0) / count
    variance = (squares + counts * (means - mean).square()).sum(0) / count
    return mean, variance, count


def _align(channel_values: Tensor, values: Tensor) -> Tensor:
    """Return a value for each channel as a tensor that broadcasts over `values`, (N, C, ...)."""
    return channel_values.view([1, -1, *[1] * (values.dim() - 2)])


def _normalise_batch(
    images: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Do what torch's `batch_norm` does, with statistics over all ranks where it takes those of the batch."""
    if not training:
        return functional.batch_norm(images, running_mean, running_var, weight, bias, training, momentum, eps)
    values = images if images.dtype in (torch.float32, torch.float64) else images.float()
    outputs: tuple[Tensor, ...] = _SharedNormalisation.apply(values, weight, bias, eps)
    result, mean, variance, count = outputs
    _update(running_mean, mean, momentum)
    _update(running_var, variance * (count / (count - 1)), momentum)
    return result.to(images.dtype)


def _update(average: Tensor | None, value: Tensor, momentum: float) -> None:
    if average is not None:
        with torch.no_grad():
            average.lerp_(value.to(average.dtype), momentum)
