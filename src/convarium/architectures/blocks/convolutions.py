"""Convolutions of the review's section 2, by name, all with "same" padding.

Grouped and pointwise convolutions are any of them with another `groups` or `kernel`. torch.nn.ConvTranspose2d
is not among them: it enlarges maps, so its place is in decoders and DeconvNet.
"""

from collections.abc import Callable

from torch import nn


def _build_plain(inputs: int, outputs: int, kernel: int, stride: int, groups: int, bias: bool) -> nn.Module:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=bias)


def _build_dilated(inputs: int, outputs: int, kernel: int, stride: int, groups: int, bias: bool) -> nn.Module:
    """Build a convolution of dilation 2, whose 3x3 weights cover 5x5 pixels (Yu & Koltun 2016)."""
    return nn.Conv2d(inputs, outputs, kernel, stride, 2 * (kernel // 2), dilation=2, groups=groups, bias=bias)


def _build_separable(inputs: int, outputs: int, kernel: int, stride: int, groups: int, bias: bool) -> nn.Module:
    """Build a depthwise and a pointwise convolution (Howard et al. 2017) with nothing between them."""
    depthwise = nn.Conv2d(inputs, inputs, kernel, stride, kernel // 2, groups=inputs, bias=False)
    return nn.Sequential(depthwise, nn.Conv2d(inputs, outputs, 1, groups=groups, bias=bias))


def _build_deformable(inputs: int, outputs: int, kernel: int, stride: int, groups: int, bias: bool) -> nn.Module:
    from convarium.architectures.blocks.deformable import Deformable  # torchvision is slow to import

    return Deformable(inputs, outputs, kernel, stride, groups, bias)


CONVOLUTION_BUILDERS: dict[str, Callable[[int, int, int, int, int, bool], nn.Module]] = {
    "plain": _build_plain,
    "dilated": _build_dilated,
    "deformable": _build_deformable,
    "depthwise_separable": _build_separable,
}
CONVOLUTION_NAMES: tuple[str, ...] = tuple(CONVOLUTION_BUILDERS)


def build_convolution(
    name: str, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, bias: bool = True
) -> nn.Module:
    """Build the convolution `name`: (N, inputs, H, W) to (N, outputs, ceil(H / stride), ceil(W / stride)).

    `kernel` is odd. A pointwise one (kernel 1) is plain whatever the name.

    Raises:
        KeyError: not one of CONVOLUTION_NAMES.
    """
    if kernel == 1:
        name = "plain"
    return CONVOLUTION_BUILDERS[name](inputs, outputs, kernel, stride, groups, bias)
