"""Inception modules: parallel columns of convolutions whose maps are concatenated."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convarium.architectures.blocks.activations import build_activation, count_pieces
from convarium.architectures.blocks.norms import build_norm

Kernel = int | tuple[int, int]


@dataclass(frozen=True)
class ConvUnit:
    """A convolution with its normalisation and activation; calling it builds one.

    Attributes:
        norm: of `norms.NORM_NAMES`; "none" adds no module.
        bias: of the convolution.
    """

    activation: str = "relu"
    norm: str = "none"
    bias: bool = True

    def __call__(
        self, inputs: int, outputs: int, kernel: Kernel, stride: int = 1, padding: Kernel | None = None
    ) -> nn.Sequential:
        """Build the unit; without a `padding`, maps shrink by the stride alone."""
        maps = count_pieces(self.activation) * outputs
        if padding is None:
            padding = (kernel[0] // 2, kernel[1] // 2) if isinstance(kernel, tuple) else kernel // 2
        layers = nn.Sequential()
        layers.add_module("conv", nn.Conv2d(inputs, maps, kernel, stride, padding, bias=self.bias))
        if self.norm != "none":
            layers.add_module("norm", build_norm(self.norm, maps))
        layers.add_module("activation", build_activation(self.activation, outputs))
        return layers


@dataclass(frozen=True)
class Column:
    """A sequence of convolutions, after a 3x3 pooling where `pool` is "average" or "max".

    Attributes:
        convolutions: width and kernel of each.
        stride: of the last convolution, or of the pooling where there is none.
        is_padded: whether the layer with the stride is padded; for a pooling, whether its last window may reach
            beyond the map.
        pool_padding: of a pooling with a stride.
    """

    convolutions: tuple[tuple[int, Kernel], ...]
    pool: str = ""
    stride: int = 1
    is_padded: bool = True
    pool_padding: int = 0

    def count_outputs(self, inputs: int) -> int:
        """Return the number of its maps."""
        return self.convolutions[-1][0] if self.convolutions else inputs

    def build_layers(self, inputs: int, unit: ConvUnit) -> Iterator[nn.Module]:
        """Build its layers, in order."""
        if self.pool:
            yield self._build_pool()
        for number, (outputs, kernel) in enumerate(self.convolutions, start=1):
            stride = self.stride if number == len(self.convolutions) else 1
            padding = 0 if stride > 1 and not self.is_padded else None
            yield unit(inputs, outputs, kernel, stride, padding)
            inputs = outputs

    def _build_pool(self) -> nn.Module:
        stride = 1 if self.convolutions else self.stride
        padding = 1 if stride == 1 else self.pool_padding
        if self.pool == "average":
            return nn.AvgPool2d(3, stride, padding)
        return nn.MaxPool2d(3, stride, padding, ceil_mode=stride > 1 and self.is_padded)


class Inception(nn.Module):
    """Several columns over the same maps."""

    def __init__(self, inputs: int, columns: Sequence[Column], unit: ConvUnit) -> None:
        super().__init__()
        self.columns = nn.ModuleList(nn.Sequential(*column.build_layers(inputs, unit)) for column in columns)
        self.width = sum(column.count_outputs(inputs) for column in columns)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, width, H / stride, W / stride)."""
        return torch.cat([column(x) for column in self.columns], 1)
