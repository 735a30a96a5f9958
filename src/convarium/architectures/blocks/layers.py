"""The layers that a user may choose for a network of ours, in one object that its blocks ask for them."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from convarium.architectures.blocks import activations, convolutions, norms, pooling
from convarium.architectures.blocks.dropout import dropout, linear
from convarium.architectures.kwargs import Allowed, choice, number

LAYERS: Mapping[str, Allowed] = {
    "activation": choice(*activations.NAMES),
    "norm": choice(*norms.NAMES),
    "pooling": choice(*pooling.GLOBAL_NAMES),
    "dropout": number(0, 0.99),
}
KWARGS: Mapping[str, Allowed] = {"convolution": choice(*convolutions.NAMES), "dropconnect": number(0, 0.99)}


@dataclass(frozen=True)
class Layers:
    """Layers of section 2 by name; what a network leaves open is what its paper has.

    Attributes:
        activation: of `activations.NAMES`.
        norm: of `norms.NAMES`.
        pooling: of the last maps, of `pooling.GLOBAL_NAMES`.
        dropout: the rate of values dropped in the blocks.
        convolution: of `convolutions.NAMES`, for kernels larger than 1x1.
        dropconnect: the rate of weights dropped in the last layer.
    """

    activation: str = "relu"
    norm: str = "batch"
    pooling: str = "average"
    dropout: float = 0.0
    convolution: str = "plain"
    dropconnect: float = 0.0

    @property
    def pieces(self) -> int:
        """How many maps go into an activation for each that comes out."""
        return activations.pieces(self.activation)

    @property
    def biased(self) -> bool:
        """Whether a convolution needs a bias, because the normalisation behind it has none."""
        return not norms.shifts(self.norm)

    def act(self, channels: int) -> nn.Module:
        """Return the activation: (N, pieces * channels, H, W) to (N, channels, H, W)."""
        return activations.activation(self.activation, channels)

    def normed(self, channels: int) -> nn.Module:
        """Return the normalisation of what goes into an activation of `channels` channels."""
        return self.norm_of(self.pieces * channels)

    def norm_of(self, channels: int) -> nn.Module:
        """Return the normalisation of `channels` maps that go into no activation."""
        return norms.norm(self.norm, channels)

    def conv(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Module:
        """Return a convolution to the pieces of `outputs` channels, with a bias where the normalisation has none."""
        made = self.pieces * outputs
        return convolutions.convolution(self.convolution, inputs, made, kernel, stride, groups, self.biased)

    def drop(self) -> nn.Module:
        """Return dropout, or nothing at rate 0."""
        return dropout(self.dropout)

    def tail(self, channels: int, num_classes: int) -> dict[str, nn.Module]:
        """Return the pooling of the last maps and the classifier behind it."""
        return {
            "pool": pooling.global_pool(self.pooling, channels),
            "flatten": nn.Flatten(),
            "fc": linear(pooling.features(self.pooling, channels), num_classes, self.dropconnect),
        }
