"""Batch statistics over the images of all ranks, so that one device and eight are the same experiment."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, distributed
from torch.overrides import TorchFunctionMode


class SharedStatistics(TorchFunctionMode):
    """While it is entered, batch normalisation in training takes its mean and variance over all ranks.

    It stands between layers and torch, since libraries have batch norms of their own classes, which call the same
    function. torch's SyncBatchNorm is a class too, and refuses the CPU.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is torch.nn.functional.batch_norm:
            return _normalise_batch(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


class _SumOverRanks(torch.autograd.Function):
    """The sum of a tensor over ranks; the gradient of a sum is the sum of the ranks' gradients."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return _sum_over_ranks(tensor)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _sum_over_ranks(gradients[0])


def _sum_over_ranks(tensor: Tensor) -> Tensor:
    total = tensor.detach().clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total)
    return total


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
    """Do what torch's `batch_norm` does, with statistics over all ranks where it takes those of the batch.

    Two passes, as torch's own: the mean first, then the mean square of what differs from it.
    """
    if not training:
        return torch.nn.functional.batch_norm(images, running_mean, running_var, weight, bias, training, momentum, eps)
    values = images if images.dtype in (torch.float32, torch.float64) else images.float()
    others = [dimension for dimension in range(values.dim()) if dimension != 1]
    shape = [1, -1, *[1] * (values.dim() - 2)]
    own_count = values.new_tensor([values.numel() / values.shape[1]])
    sums: Tensor = _SumOverRanks.apply(torch.cat([values.sum(others), own_count]))
    count = sums[-1].detach()
    mean = sums[:-1] / count
    centred = values - mean.view(shape)
    square_sums: Tensor = _SumOverRanks.apply(centred.square().sum(others))
    variance = square_sums / count
    _update(running_mean, mean, momentum)
    _update(running_var, variance * (count / (count - 1)), momentum)
    result = centred * torch.rsqrt(variance + eps).view(shape)
    if weight is not None:
        result = result * weight.view(shape)
    if bias is not None:
        result = result + bias.view(shape)
    return result.to(images.dtype)


def _update(average: Tensor | None, value: Tensor, momentum: float) -> None:
    if average is not None:
        with torch.no_grad():
            average.lerp_(value.to(average.dtype), momentum)
