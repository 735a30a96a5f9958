"""Dropout (Hinton et al. 2012) and DropConnect (Wan et al., ICML 2013), left out at rate 0."""

from torch import Tensor, nn
from torch.nn import functional


class DropConnectLinear(nn.Linear):
    """A linear layer that drops weights instead of outputs: each with probability `rate`, drawn for every batch.

    Kept weights are scaled by 1 / (1 - rate) in training; evaluation uses them all. (In evaluation the paper samples
    from a Gaussian of the same moments; this is its mean.)
    """

    def __init__(self, inputs: int, outputs: int, rate: float, bias: bool = True) -> None:
        super().__init__(inputs, outputs, bias)
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs)."""
        return functional.linear(x, functional.dropout(self.weight, self.rate, self.training), self.bias)


class DropConnectConv2d(nn.Conv2d):
    """A convolution that drops weights as `DropConnectLinear` does."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        rate: float,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding, dilation, groups, bias)
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H', W')."""
        weight = functional.dropout(self.weight, self.rate, self.training)
        return self._conv_forward(x, weight, self.bias)  # type: ignore[no-any-return]


def build_dropout(rate: float) -> nn.Module:
    """Build dropout of single values, or an identity at rate 0, which draws no random numbers."""
    return nn.Dropout(rate) if rate else nn.Identity()


def build_linear(inputs: int, outputs: int, dropconnect: float = 0.0, bias: bool = True) -> nn.Linear:
    """Build a linear layer; `dropconnect` is the rate at which DropConnect drops its weights."""
    return DropConnectLinear(inputs, outputs, dropconnect, bias) if dropconnect else nn.Linear(inputs, outputs, bias)
