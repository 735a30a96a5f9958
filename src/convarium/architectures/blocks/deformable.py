"""Deformable convolution (Dai et al., ICCV 2017): torchvision's, with a convolution that predicts its offsets."""

from torch import Tensor, nn
from torchvision.ops import DeformConv2d


class Offsets(nn.Conv2d):
    """The convolution that predicts offsets, initially zero; its own type keeps `assemble_network` from drawing it."""

    def reset_parameters(self) -> None:
        """Set weights and biases to zero, so that there are no offsets."""
        nn.init.zeros_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class Deformable(nn.Module):
    """A convolution whose sampling positions are shifted by offsets that another convolution predicts.

    The offsets are initially zero, which makes it a plain convolution.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int, bias: bool) -> None:
        super().__init__()
        self.offset = Offsets(inputs, 2 * kernel * kernel, kernel, stride, kernel // 2)
        self.conv = DeformConv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=bias)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, ceil(H / stride), ceil(W / stride))."""
        return self.conv(x, self.offset(x))  # type: ignore[no-any-return]
