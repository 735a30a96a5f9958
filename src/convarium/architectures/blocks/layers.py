"""The layers that a user may choose for one of our networks, in one object that builds them for its blocks."""

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
    """The chosen kinds of layers, by their names in section 2 of the review.

    Attributes:
        activation: of `activations.ACTIVATION_NAMES`.
        norm: of `norms.NORM_NAMES`.
        pooling: of `pooling.GLOBAL_POOLING_NAMES`, over the last maps.
        dropout: the rate at which values are dropped in the blocks.
        convolution: of `convolutions.CONVOLUTION_NAMES`, for kernels larger than 1x1.
        dropconnect: the rate at which weights are dropped in the last layer.
    """

    activation: str = "relu"
    norm: str = "batch"
    pooling: str = "average"
    dropout: float = 0.0
    convolution: str = "plain"
    dropconnect: float = 0.0

    @property
    def pieces(self) -> int:
        """How many input maps the activation takes for each output channel."""
        return activations.count_pieces(self.activation)

    @property
    def needs_bias(self) -> bool:
        """Whether a convolution needs a bias, because the normalisation after it has none."""
        return not norms.has_shift(self.norm)

    def act(self, channels: int) -> nn.Module:
        """Build the activation: (N, pieces * channels, H, W) to (N, channels, H, W)."""
        return activations.build_activation(self.activation, channels)

    def norm_before_act(self, channels: int) -> nn.Module:
        """Build the normalisation before an activation that outputs `channels` channels."""
        return self.plain_norm(self.pieces * channels)

    def plain_norm(self, channels: int) -> nn.Module:
        """Build the normalisation of `channels` maps that go into no activation."""
        return norms.build_norm(self.norm, channels)

    def conv(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Module:
        """Build a convolution to the pieces of `outputs` channels, with a bias where the normalisation has none."""
        maps = self.pieces * outputs
        return convolutions.build_convolution(self.convolution, inputs, maps, kernel, stride, groups, self.needs_bias)

    def drop(self) -> nn.Module:
        """Build dropout, or an identity at rate 0."""
        return build_dropout(self.dropout)

    def head(self, channels: int, num_classes: int) -> dict[str, nn.Module]:
        """Build the pooling of the last maps and the classifier after it."""
        return {
            "pool": pooling.build_global_pool(self.pooling, channels),
            "flatten": nn.Flatten(),
            "fc": build_linear(pooling.count_features(self.pooling, channels), num_classes, self.dropconnect),
        }
