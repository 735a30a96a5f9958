"""Poolings of the review's section 2, by name: over windows, and over whole maps.

Windows larger than their stride overlap (Krizhevsky et al. 2012: 3 and 2).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

PYRAMID_BINS = (4, 2, 1)


class StochasticPool2d(nn.Module):
    """One activation a window, drawn in training in proportion to the activations: Zeiler & Fergus, ICLR 2013.

    In evaluation it is their mean, each weighted by its probability. From a window without positive values it draws
    uniformly. (The review's "random feature points" omits the proportion.) A `kernel` of 0 takes the whole map.
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
        cumulative = _compute_sampling_weights(windows).cumsum(-1)
        total = cumulative[..., -1:]
        threshold = torch.rand_like(total) * total
        index = (cumulative <= threshold).sum(-1, keepdim=True)
        # Rounding can put a threshold at the total itself.
        index = index.clamp(max=height * width - 1)
        return windows.gather(-1, index).squeeze(-1)

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
    """Return the weight of each activation of a window; 1 for all where none is positive."""
    weights = windows.detach().relu()  # the gradient goes through the drawn activation alone
    has_positive = weights.sum(-1, keepdim=True) > 0
    return torch.where(has_positive, weights, 1.0)


class TrainablePool2d(nn.Module):
    """The sum of a window with a learned scale and shift a channel: the subsampling of LeCun et al. 1998.

    It has 2 * channels parameters (LeNet-5: 12 and 32), is initially the mean, and leaves the activation to the layer
    after it. A `kernel` of 0 takes the mean of the whole map instead of the sum.
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
    """The maxima of 4x4, 2x2 and 1x1 bins, 21 a channel for maps of any size: He et al., ECCV 2014."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, 21 C)."""
        levels = [functional.adaptive_max_pool2d(x, bins).flatten(1) for bins in PYRAMID_BINS]
        return torch.cat(levels, 1)


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
    """Build the pooling `name` over windows of `kernel` pixels a side, every `stride` pixels (None: no overlap).

    Raises:
        KeyError: not one of POOLING_NAMES.
    """
    return WINDOW_POOLINGS[name](channels, kernel, stride or kernel, padding)


def build_global_pool(name: str, channels: int) -> nn.Module:
    """Build the pooling `name` over whole maps: flattened, its output has `count_features(name, channels)` values.

    Raises:
        KeyError: not one of GLOBAL_POOLING_NAMES.
    """
    return GLOBAL_POOLINGS[name](channels)


def count_features(name: str, channels: int) -> int:
    """Return how many values the global pooling `name` outputs for an image."""
    if name == "spatial_pyramid":
        return channels * sum(bins * bins for bins in PYRAMID_BINS)
    return channels
