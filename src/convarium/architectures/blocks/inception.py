"""Inception modules: columns of convolutions beside each other, their maps concatenated."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from convarium.architectures.blocks.activations import build_activation, count_pieces
from convarium.architectures.blocks.norms import build_norm

Kernel = int | tuple[int, int]


@dataclass(frozen=True)
class ConvUnit:
    """What stands for a convolution in a network: the convolution, its normalisation, its activation.

    Attributes:
        norm: of `norms.NORM_NAMES`; "none" leaves no trace.
        bias: of the convolution.
    """

    activation: str = "relu"
    norm: str = "none"
    bias: bool = True

    def __call__(
        self, inputs: int, outputs: int, kernel: Kernel, stride: int = 1, padding: Kernel | None = None
    ) -> nn.Sequential:
        """Make one; it keeps the size of its maps but for the stride, unless another padding is given."""
        made = count_pieces(self.activation) * outputs
        if padding is None:
            padding = (kernel[0] // 2, kernel[1] // 2) if isinstance(kernel, tuple) else kernel // 2
        layers = nn.Sequential()
        layers.add_module("conv", nn.Conv2d(inputs, made, kernel, stride, padding, bias=self.bias))
        if self.norm != "none":
            layers.add_module("norm", build_norm(self.norm, made))
        layers.add_module("activation", build_activation(self.activation, outputs))
        return layers


@dataclass(frozen=True)
class Column:
    """Convolutions one after another, behind a pooling where `pool` is "average" or "max".

    Attributes:
        steps: width and kernel of each.
        stride: of the last of them, or of the pooling where there is none.
        is_padded: whether what has a stride sees a border of zeros.
    """

    steps: tuple[tuple[int, Kernel], ...]
    pool: str = ""
    stride: int = 1
    is_padded: bool = True

    def output_width(self, inputs: int) -> int:
        """Return the number of its maps."""
        return self.steps[-1][0] if self.steps else inputs

    def build_layers(self, inputs: int, unit: ConvUnit) -> Iterator[nn.Module]:
        """Make its layers."""
        if self.pool:
            yield _build_column_pool(self.pool, 1 if self.steps else self.stride, self.is_padded)
        widths = pairwise((inputs, *(width for width, _ in self.steps)))
        for number, ((before, width), (_, kernel)) in enumerate(zip(widths, self.steps, strict=True), start=1):
            last = number == len(self.steps)
            stride = self.stride if last else 1
            yield unit(before, width, kernel, stride, 0 if stride > 1 and not self.is_padded else None)


class Inception(nn.Module):
    """A module of several columns."""

    def __init__(self, inputs: int, columns: tuple[Column, ...], unit: ConvUnit) -> None:
        super().__init__()
        self.columns = nn.ModuleList(nn.Sequential(*column.build_layers(inputs, unit)) for column in columns)
        self.width = sum(column.output_width(inputs) for column in columns)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, width, H / stride, W / stride)."""
        return torch.cat([column(x) for column in self.columns], 1)


def _build_column_pool(kind: str, stride: int, padded: bool) -> nn.Module:
    """3x3; with a stride the last window may reach beyond the map, unless nothing may."""
    border = int(stride == 1)
    if kind == "average":
        return nn.AvgPool2d(3, stride, border)
    return nn.MaxPool2d(3, stride, border, ceil_mode=stride > 1 and padded)
