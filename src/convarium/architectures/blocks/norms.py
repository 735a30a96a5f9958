"""Normalisations of the review's section 2, by name."""

from collections.abc import Callable

from torch import nn

MAX_GROUPS = 32


def _build_local_response_norm(channels: int) -> nn.Module:
    """Build a normalisation over 5 neighbouring channels.

    Krizhevsky et al. 2012: k = 2, n = 5, alpha = 1e-4, beta = 0.75.
    """
    # torch divides alpha by n, so the paper's alpha is 5e-4 here.
    return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)


def _build_layer_norm(channels: int) -> nn.Module:
    """Build a normalisation over all channels and pixels (Ba et al. 2016), with a scale and a shift a channel."""
    return nn.GroupNorm(1, channels)


def _build_group_norm(channels: int) -> nn.Module:
    """Build a normalisation over groups of channels (Wu & He 2018).

    There are 32 groups; fewer where 32 don't divide the channels, or a group would be a single channel.
    """
    max_groups = min(MAX_GROUPS, max(channels // 2, 1))
    groups = max(count for count in range(1, max_groups + 1) if channels % count == 0)
    return nn.GroupNorm(groups, channels)


NORM_BUILDERS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "local_response": _build_local_response_norm,
    "layer": _build_layer_norm,
    "group": _build_group_norm,
    "none": lambda channels: nn.Identity(),
}
NORM_NAMES: tuple[str, ...] = tuple(NORM_BUILDERS)


def build_norm(name: str, channels: int) -> nn.Module:
    """Build the normalisation `name` of maps (N, channels, H, W).

    Raises:
        KeyError: not one of NORM_NAMES.
    """
    return NORM_BUILDERS[name](channels)


def has_shift(name: str) -> bool:
    """Whether the normalisation has a learned shift, so that the layer before it needs no bias."""
    return name in ("batch", "layer", "group")
