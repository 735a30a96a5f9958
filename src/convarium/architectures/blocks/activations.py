"""Activations of the review's section 2 and Table 2, by name.

Table 2 prints the rows of RReLU and ELU one line off, and Swish as "Switch"; here they follow their own papers.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

MAXOUT_PIECES = 2
ELEMENTWISE_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "hard_sigmoid": nn.Hardsigmoid,
    "tanh": nn.Tanh,
    "hard_tanh": nn.Hardtanh,
    "softsign": nn.Softsign,
    "softplus": nn.Softplus,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky_relu": nn.LeakyReLU,
    "rrelu": nn.RReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "hard_swish": nn.Hardswish,
    "mish": nn.Mish,
}
LEARNED_ACTIVATIONS = ("prelu", "swish", "maxout")
ACTIVATION_NAMES: tuple[str, ...] = (*ELEMENTWISE_ACTIVATIONS, *LEARNED_ACTIVATIONS)


class Swish(nn.Module):
    """x sigmoid(beta x) with a learned beta a channel, initially 1, which is SiLU: Ramachandran et al. 2017."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, ...) to the same shape."""
        beta = self.beta.reshape(-1, *[1] * (x.dim() - 2))
        return x * torch.sigmoid(beta * x)


class Maxout(nn.Module):
    """The larger of the two halves of the channels: Goodfellow et al., "Maxout networks", ICML 2013, with k = 2.

    The layer before it outputs the pieces of all channels: first piece 1 of each, then piece 2 of each.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 2 * channels, ...) to (N, channels, ...)."""
        return torch.maximum(*x.chunk(MAXOUT_PIECES, 1))


def build_activation(name: str, channels: int) -> nn.Module:
    """Build the activation `name`, which outputs `channels` channels.

    PReLU (He et al. 2015) and Swish learn one number a channel; RReLU draws slopes from U(1/8, 1/3) in training (Xu et
    al. 2015); hard_sigmoid is relu6(x + 3) / 6. Maxout takes `count_pieces(name) * channels` channels.

    Raises:
        KeyError: not one of ACTIVATION_NAMES.
    """
    if name == "maxout":
        return Maxout()
    if name == "prelu":
        return nn.PReLU(channels)
    return Swish(channels) if name == "swish" else ELEMENTWISE_ACTIVATIONS[name]()


def count_pieces(name: str) -> int:
    """Return how many input maps an activation takes for each output channel."""
    return MAXOUT_PIECES if name == "maxout" else 1


def repeat_for_pieces(identity: Tensor, name: str) -> Tensor:
    """Repeat a shortcut for every piece that the activation after the sum takes."""
    pieces = count_pieces(name)
    return torch.cat([identity] * pieces, 1) if pieces > 1 else identity


def concatenate_maps(maps: Sequence[Tensor], name: str) -> Tensor:
    """Concatenate maps for the activation `name`, so that the pieces of all channels stay in its order."""
    if count_pieces(name) == 1:
        return torch.cat(list(maps), 1)
    pieces = [tensor.chunk(MAXOUT_PIECES, 1) for tensor in maps]
    return torch.cat([piece for same_piece in zip(*pieces, strict=True) for piece in same_piece], 1)
