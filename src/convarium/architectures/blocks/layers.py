"""The layers that a user may choose for a network of ours, in one object that its blocks ask for them."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from convarium.architectures.blocks import activations, convolutions, norms, pooling
from convarium.architectures.blocks.dropout import build_dropout, build_linear
from convarium.architectures.builder import ArgumentRule, number_between, one_of

LAYER_RULES: Mapping[str, ArgumentRule] = {
    "activation": one_of(*activations.ACTIVATION_NAMES),
    "norm": one_of(*norms.NORM_NAMES),
    "pooling": one_of(*pooling.GLOBAL_POOLING_NAMES),
    "dropout": number_between(0, 0.99),
}
KWARG_RULES: Mapping[str, ArgumentRule] = {
    "convolution": one_of(*convolutions.CONVOLUTION_NAMES),
    "dropconnect": number_between(0, 0.99),
}


@dataclass(frozen=True)
class LayerChoice:
    """Layers of section 2 by name; what a network leaves open is what its paper has.

    Attributes:
        activation: of `activations.ACTIVATION_NAMES`.
        norm: of `norms.NORM_NAMES`.
        pooling: of the last maps, of `pooling.GLOBAL_POOLING_NAMES`.
        dropout: the rate of values dropped in the blocks.
        convolution: of `convolutions.CONVOLUTION_NAMES`, for kernels larger than 1x1.
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
        return activations.count_pieces(self.activation)

    @property
    def needs_bias(self) -> bool:
        """Whether a convolution needs a bias, because the normalisation behind it has none."""
        return not norms.has_shift(self.norm)

    def act(self, channels: int) -> nn.Module:
        """Return the activation: (N, pieces * channels, H, W) to (N, channels, H, W)."""
        return activations.build_activation(self.activation, channels)

    def norm_before_act(self, channels: int) -> nn.Module:
        """Return the normalisation of what goes into an activation of `channels` channels."""
        return self.plain_norm(self.pieces * channels)

    def plain_norm(self, channels: int) -> nn.Module:
        """Return the normalisation of `channels` maps that go into no activation."""
        return norms.build_norm(self.norm, channels)

    def conv(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Module:
        """Return a convolution to the pieces of `outputs` channels, with a bias where the normalisation has none."""
        made = self.pieces * outputs
        return convolutions.build_convolution(self.convolution, inputs, made, kernel, stride, groups, self.needs_bias)

    def drop(self) -> nn.Module:
        """Return dropout, or nothing at rate 0."""
        return build_dropout(self.dropout)

    def head(self, channels: int, num_classes: int) -> dict[str, nn.Module]:
        """Return the pooling of the last maps and the classifier behind it."""
        return {
            "pool": pooling.build_global_pool(self.pooling, channels),
            "flatten": nn.Flatten(),
            "fc": build_linear(pooling.count_features(self.pooling, channels), num_classes, self.dropconnect),
        }
