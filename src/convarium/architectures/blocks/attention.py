"""Parts that transformer encoders share: multi-head attention, the MLP, and both as one pre-norm layer."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from convarium.architectures.blocks.activations import ELEMENTWISE_ACTIVATIONS
from convarium.architectures.blocks.dropout import build_dropout
from convarium.architectures.builder import number_between, one_of

LAYER_RULES = {
    "activation": one_of(*ELEMENTWISE_ACTIVATIONS),
    "dropout": number_between(0, 0.99),
}


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Return softmax(Q K^T / sqrt(d)) V for each head of d channels.

    Args:
        query: (N, T, heads * d).
        key: (N, S, heads * d).
        value: (N, S, heads * d).

    Returns:
        (N, T, heads * d).
    """
    query, key, value = (_split_heads(tokens, heads) for tokens in (query, key, value))
    attended = functional.scaled_dot_product_attention(query, key, value)
    return attended.transpose(1, 2).flatten(2)


def _split_heads(tokens: Tensor, heads: int) -> Tensor:
    """Map (N, T, heads * d) to (N, heads, T, d)."""
    return torch.unflatten(tokens, 2, (heads, -1)).transpose(1, 2)


class Attention(nn.Module):
    """Attention of tokens (N, T, width) to those of a source (N, S, width), or to themselves without a source."""

    def __init__(self, width: int, heads: int, bias: bool = True) -> None:
        super().__init__()
        self.num_heads = heads
        self.query = nn.Linear(width, width, bias=bias)
        self.key_value = nn.Linear(width, 2 * width, bias=bias)
        self.project = nn.Linear(width, width)

    def forward(self, x: Tensor, source: Tensor | None = None) -> Tensor:
        """Return (N, T, width)."""
        key, value = self.key_value(x if source is None else source).chunk(2, dim=2)
        return self.project(attend(self.query(x), key, value, self.num_heads))  # type: ignore[no-any-return]


class Mlp(nn.Sequential):
    """Two linear layers with an activation between them, applied to tokens (N, T, width)."""

    def __init__(self, width: int, hidden: int, activation: str = "gelu", dropout: float = 0.0) -> None:
        super().__init__(
            nn.Linear(width, hidden),
            ELEMENTWISE_ACTIVATIONS[activation](),
            build_dropout(dropout),
            nn.Linear(hidden, width),
            build_dropout(dropout),
        )


class EncoderLayer(nn.Module):
    """A pre-norm layer of an encoder: x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(
        self, width: int, heads: int, hidden: int, activation: str, dropout: float, bias: bool = True, eps: float = 1e-6
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.attention = Attention(width, heads, bias)
        self.drop = build_dropout(dropout)
        self.norm2 = nn.LayerNorm(width, eps=eps)
        self.mlp = Mlp(width, hidden, activation, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (N, T, width) to tokens of the same shape."""
        x = x + self.drop(self.attention(self.norm1(x)))
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]


def initialise_linear_layers(network: nn.Module) -> None:
    """Draw the weights of linear layers from a truncated normal of 0.02, as ViT's successors do; biases are zero."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
