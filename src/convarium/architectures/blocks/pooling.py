"""Poolings of the review's section 2, by name: over windows, and over whole maps.

A window that is larger than its stride overlaps the next one (Krizhevsky et al. 2012: 3 and 2).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

PYRAMID_BINS = (4, 2, 1)


class StochasticPool2d(nn.Module):
    """One activation a window, drawn in training in proportion to the activations: Zeiler & Fergus, ICLR 2013.

    In evaluation their mean, each weighted by its probability. A window without positive values is drawn from
    uniformly. (The review's "random feature points" leaves the proportion out.) `kernel` 0 takes the whole map.
    """

    def __init__(self, kernel: int = 0, stride: int | None = None, padding: int = 0) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride or max(kernel, 1), padding

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, windows down, windows across)."""
        return self._sample(x) if self.training else self._compute_expectation(x)

    def _sample(self, x: Tensor) -> Tensor:
        height, width = (self.kernel, self.kernel) if self.kernel else x.shape[-2:]
        padded = functional.pad(x, [self.padding] * 4)
        windows = padded.unfold(2, height, self.stride).unfold(3, width, self.stride).flatten(-2)
        sums = _compute_sampling_weights(windows).cumsum(-1)
        drawn = torch.rand_like(sums[..., -1:]) * sums[..., -1:]
        place = (sums <= drawn).sum(-1, keepdim=True).clamp(max=height * width - 1)
        return windows.gather(-1, place).squeeze(-1)

    def _compute_expectation(self, x: Tensor) -> Tensor:
        weights = x.relu()
        mass = self._average(weights)
        weighted = self._average(weights * x) / torch.where(mass > 0, mass, 1.0)
        return torch.where(mass > 0, weighted, self._average(x))

    def _average(self, x: Tensor) -> Tensor:
        if self.kernel:
            return functional.avg_pool2d(x, self.kernel, self.stride, self.padding)
        return functional.adaptive_avg_pool2d(x, 1)


def _compute_sampling_weights(windows: Tensor) -> Tensor:
    """The weight of each activation of a window; one for all where none is positive."""
    weights = windows.detach().relu()
    return torch.where(weights.sum(-1, keepdim=True) > 0, weights, 1.0)


class TrainablePool2d(nn.Module):
    """The sum of a window times a learnt number a channel, plus another: sub-sampling of LeCun et al. 1998.

    2 * channels parameters (LeNet-5: 12 and 32); at first the mean. The activation comes behind it. `kernel` 0 takes
    the mean of the whole map in place of the sum.
    """

    def __init__(self, channels: int, kernel: int = 0, stride: int | None = None, padding: int = 0) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride or max(kernel, 1), padding
        self.weight = nn.Parameter(torch.full((channels, 1, 1), 1 / max(kernel, 1) ** 2))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to (N, channels, windows down, windows across)."""
        if self.kernel:
            summed = functional.avg_pool2d(x, self.kernel, self.stride, self.padding, divisor_override=1)
        else:
            summed = functional.adaptive_avg_pool2d(x, 1)
        return self.weight * summed + self.bias


class SpatialPyramid(nn.Module):
    """The maxima of 4x4, 2x2 and 1x1 bins, 21 a channel whatever the size of the map: He et al., ECCV 2014."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, 21 C)."""
        return torch.cat([functional.adaptive_max_pool2d(x, bins).flatten(1) for bins in PYRAMID_BINS], 1)


WINDOW_POOLINGS: dict[str, Callable[[int, int, int, int], nn.Module]] = {
    "max": lambda channels, kernel, stride, padding: nn.MaxPool2d(kernel, stride, padding),
    "average": lambda channels, kernel, stride, padding: nn.AvgPool2d(kernel, stride, padding),
    "stochastic": lambda channels, kernel, stride, padding: StochasticPool2d(kernel, stride, padding),
    "trainable": TrainablePool2d,
}
GLOBAL_POOLINGS: dict[str, Callable[[int], nn.Module]] = {
    "average": lambda channels: nn.AdaptiveAvgPool2d(1),
    "max": lambda channels: nn.AdaptiveMaxPool2d(1),
    "stochastic": lambda channels: StochasticPool2d(),
    "trainable": lambda channels: TrainablePool2d(channels),
    "spatial_pyramid": lambda channels: SpatialPyramid(),
}
POOLING_NAMES: tuple[str, ...] = tuple(WINDOW_POOLINGS)
GLOBAL_POOLING_NAMES: tuple[str, ...] = tuple(GLOBAL_POOLINGS)


def build_pool(name: str, channels: int, kernel: int = 2, stride: int | None = None, padding: int = 0) -> nn.Module:
    """Return the pooling `name` over windows of `kernel` pixels a side, every `stride` pixels (null: no overlap).

    Raises:
        KeyError: not one of POOLING_NAMES.
    """
    return WINDOW_POOLINGS[name](channels, kernel, stride or kernel, padding)


def build_global_pool(name: str, channels: int) -> nn.Module:
    """Return the pooling `name` over whole maps: (N, channels, H, W) to what flattens to `features(name, channels)`.

    Raises:
        KeyError: not one of GLOBAL_POOLING_NAMES.
    """
    return GLOBAL_POOLINGS[name](channels)


def count_features(name: str, channels: int) -> int:
    """Return how many numbers the global pooling `name` gives for an image."""
    return channels * sum(bins * bins for bins in PYRAMID_BINS) if name == "spatial_pyramid" else channels
