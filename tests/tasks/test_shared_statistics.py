"""Batch normalisation over the images of two ranks is that of one process over all of them."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from convarium.tasks.ranks import Ranks
from convarium.tasks.shared_statistics import SharedStatistics
from tasks.rank_harness import call_in_ranks

IMAGES = 7
SHARES = (slice(0, 3), slice(3, 7))


def normalise(values: Tensor, gradient: Tensor, has_affine: bool) -> list[Tensor]:
    """Return the normalised values, the running mean and variance, and all gradients."""
    values = values.clone().requires_grad_()
    channels = values.shape[1]
    weight = bias = None
    if has_affine:
        weight, bias = (torch.linspace(0.5, 2, channels).double().requires_grad_() for _ in range(2))
    mean, variance = torch.zeros(channels).double(), torch.ones(channels).double()
    result = functional.batch_norm(values, mean, variance, weight, bias, training=True)
    inputs = [tensor for tensor in (values, weight, bias) if tensor is not None]
    return [result.detach(), mean, variance, *torch.autograd.grad(result, inputs, gradient)]


@pytest.mark.parametrize(("shape", "has_affine"), [((5, 6, 6), True), ((5, 6, 6), False), ((8,), True)])
def test_values_and_gradients_are_those_of_all_images(shape: tuple[int, ...], has_affine: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    values, gradient = torch.randn(2, IMAGES, *shape, dtype=torch.float64)
    values += 1000  # far from 0, where a variance from sums of squares would be wrong
    result, mean, variance, value_gradient, *affine_gradients = normalise(values, gradient, has_affine)

    def normalise_share(ranks: Ranks) -> list[Tensor]:
        share = SHARES[ranks.rank]
        with SharedStatistics():
            return normalise(values[share], gradient[share], has_affine)

    shared = call_in_ranks(2, normalise_share, tmp_path)
    for share, (own_result, own_mean, own_variance, own_value_gradient, *_) in zip(SHARES, shared, strict=True):
        torch.testing.assert_close(own_result, result[share], rtol=0, atol=1e-9)
        torch.testing.assert_close([own_mean, own_variance], [mean, variance], rtol=0, atol=1e-9)
        torch.testing.assert_close(own_value_gradient, value_gradient[share], rtol=0, atol=1e-9)
    summed = [first + second for first, second in zip(shared[0][4:], shared[1][4:], strict=True)]
    torch.testing.assert_close(summed, affine_gradients, rtol=0, atol=1e-9)
