"""Dropout (Hinton et al. 2012) where a rate asks for it, and DropConnect (Wan et al., ICML 2013)."""

from torch import Tensor, nn
from torch.nn import functional


class DropConnectLinear(nn.Linear):
    """A linear layer whose weights, not its outputs, are dropped: each with probability `rate`, anew every batch.

    Kept weights are scaled by 1 / (1 - rate) in training; evaluation takes them all. (The paper samples evaluation
    from a Gaussian of the same moments; their mean is what this gives.)
    """

    def __init__(self, inputs: int, outputs: int, rate: float, bias: bool = True) -> None:
        super().__init__(inputs, outputs, bias)
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs)."""
        return functional.linear(x, functional.dropout(self.weight, self.rate, self.training), self.bias)


class DropConnectConv2d(nn.Conv2d):
    """A convolution whose weights are dropped as those of `DropConnectLinear`."""

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
    """Return dropout of single values, or nothing at rate 0: then no random number is drawn."""
    return nn.Dropout(rate) if rate else nn.Identity()


def build_linear(inputs: int, outputs: int, dropconnect: float = 0.0, bias: bool = True) -> nn.Linear:
    """Return a linear layer; `dropconnect` is the rate at which DropConnect drops its weights."""
    return DropConnectLinear(inputs, outputs, dropconnect, bias) if dropconnect else nn.Linear(inputs, outputs, bias)
