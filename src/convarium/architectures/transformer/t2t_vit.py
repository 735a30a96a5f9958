"""T2T-ViT (Yuan et al., ICCV 2021, "Tokens-to-token ViT: training vision transformers from scratch on ImageNet").

Table 8 of the review prints the MACs and accuracies of the paper's first version.
"""

import math
from collections.abc import Sequence
from functools import partial
from random import Random

import torch
from torch import Tensor, nn

from convarium.architectures.blocks.attention import LAYER_RULES, EncoderLayer, Mlp, attend, initialise_linear_layers
from convarium.architectures.blocks.dropout import build_dropout
from convarium.architectures.builder import Builder, int_between, list_of, one_of
from convarium.architectures.image_sizes import check_min_image_size
from convarium.errors import UserError


class TokenLayer(nn.Module):
    """Attention of one head from `inputs` to `width` channels, added to its values, then an MLP.

    Args:
        seed: of the random features of a Performer (Choromanski et al. 2021); None for softmax attention, whose
            queries, keys and values have no bias.
    """

    def __init__(self, inputs: int, width: int, seed: int | None, activation: str, dropout: float) -> None:
        super().__init__()
        self.num_heads = 1  # by this attribute `compression.structure` knows attention, whose channels it leaves whole
        self.norm1 = nn.LayerNorm(inputs)
        self.key_query_value = nn.Linear(inputs, 3 * width, bias=seed is not None)
        self.performer = None if seed is None else Performer(width, max(1, width // 2), seed)
        self.project = nn.Linear(width, width)
        self.drop = build_dropout(dropout)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, width, activation, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (N, T, inputs) to (N, T, width)."""
        key, query, value = self.key_query_value(self.norm1(x)).chunk(3, dim=2)
        attended = attend(query, key, value, 1) if self.performer is None else self.performer(query, key, value)
        # The values are the shortcut, because the layer's own input has another width.
        x = value + self.drop(self.project(attended))
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]


class Performer(nn.Module):
    """Attention with exp(q k) in place of softmax(q k / sqrt(d)), approximated at a cost linear in the tokens.

    exp(q k) is the mean over random w of exp(w q - |q|^2 / 2) exp(w k - |k|^2 / 2). The w are fixed: rows that are
    orthogonal in blocks of `width`, each of length sqrt(min(features, width)), drawn from a seed of their own.
    """

    features: Tensor

    def __init__(self, width: int, features: int, seed: int) -> None:
        super().__init__()
        self.register_buffer("features", torch.tensor(draw_orthogonal_rows(features, width, seed)), persistent=False)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Map queries, keys and values (N, T, width) to (N, T, width)."""
        query, key = self.compute_features(query), self.compute_features(key)
        weighted_sum = query @ (key.transpose(1, 2) @ value)
        return weighted_sum / (query @ key.sum(1).unsqueeze(2) + 1e-8)

    def compute_features(self, x: Tensor) -> Tensor:
        """Map (N, T, width) to positive numbers (N, T, features), whose products have the mean exp(q k)."""
        exponent = x @ self.features.T - x.square().sum(2, keepdim=True) / 2
        return exponent.exp() / math.sqrt(len(self.features))


def draw_orthogonal_rows(rows: int, columns: int, seed: int) -> list[list[float]]:
    """Draw `rows` vectors of length sqrt(min(rows, columns)); each block of `columns` of them is orthogonal.

    No file holds them, so they must be the same on every machine: plain Python by Gram and Schmidt, which draws nothing
    from torch's random state.
    """
    random, squared_length = Random(seed), min(rows, columns)
    vectors: list[list[float]] = []
    for index in range(rows):
        vector = [random.gauss(0, 1) for _ in range(columns)]
        block_start = index - index % columns
        for other in vectors[block_start:]:
            projection = sum(map(float.__mul__, vector, other)) / squared_length
            vector = [value - projection * component for value, component in zip(vector, other, strict=True)]
        scale = math.sqrt(squared_length / sum(value * value for value in vector))
        vectors.append([value * scale for value in vector])
    return vectors


class T2tVit(nn.Module):
    """Soft splits, each followed by a layer over its tokens, then an encoder whose class token is classified.

    Args:
        tokens: the layer behind each of `splits`.
        count: tokens of the encoder, its class token included.
    """

    positions: Tensor

    def __init__(
        self, splits: list[nn.Unfold], tokens: list[nn.Module], layers: list[EncoderLayer], count: int, width: int
    ) -> None:
        super().__init__()
        self.splits = nn.ModuleList(splits)
        self.tokens = nn.ModuleList(tokens)
        self.token = nn.Parameter(nn.init.trunc_normal_(torch.zeros(1, 1, width), std=0.02))
        self.register_buffer("positions", torch.tensor([compute_sinusoids(count, width)]), persistent=False)
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(width)
        self.head: nn.Module = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        for index, (split, token_layer) in enumerate(zip(self.splits, self.tokens, strict=True)):
            if index > 0:
                x = _tokens_to_map(x)
            x = token_layer(split(x).transpose(1, 2))
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.positions
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x)[:, 0])  # type: ignore[no-any-return]


def compute_sinusoids(count: int, width: int) -> list[list[float]]:
    """Return the fixed positions of Vaswani et al. 2017: (count, width), sines and cosines in turn."""
    rates = [10_000 ** -(2 * (channel // 2) / width) for channel in range(width)]
    waves = [math.cos if channel % 2 else math.sin for channel in range(width)]
    return [[wave(position * rate) for wave, rate in zip(waves, rates, strict=True)] for position in range(count)]


def _tokens_to_map(tokens: Tensor) -> Tensor:
    """Map (N, side * side, C) to (N, C, side, side)."""
    side = math.isqrt(tokens.shape[1])
    return torch.unflatten(tokens.transpose(1, 2), 2, (side, side))


def t2t_vit(
    name: str,
    in_chans: int,
    num_classes: int,
    img_size: int,
    *,
    width: int = 384,
    depth: int = 14,
    heads: int = 6,
    ratio: int = 3,
    token_width: int = 64,
    kernels: Sequence[int] = (7, 3, 3),
    strides: Sequence[int] = (4, 2, 2),
    tokens: str = "performer",
    activation: str = "gelu",
    dropout: float = 0.0,
) -> nn.Module:
    """T2T-ViT as in table 1 of the paper; 14 layers of 384: 21,465,806 parameters at 3x224x224, 1000 classes.

    The authors also count fixed numbers, which are buffers here: positions (75,648) and random features (4,096).

    Args:
        width: channels of the encoder's tokens.
        depth: layers of the encoder.
        heads: of the encoder's attention.
        ratio: hidden channels of the encoder's MLPs, divided by its width.
        token_width: channels behind each token layer.
        kernels: sides of the soft splits' windows.
        strides: distances between the soft splits' windows, at most their kernels.
        tokens: attention of the token layers, performer or softmax (the paper's T2T-ViT_t).

    Raises:
        UserError: lists of different lengths, windows with gaps, heads that don't divide the width, images too small.
    """
    if len(kernels) != len(strides) or any(map(int.__lt__, kernels, strides)):
        raise UserError(f"{name}: kernels and strides must have one length, and no stride be larger than its kernel")
    if width % heads:
        raise UserError(f"{name}: width={width} is not a multiple of heads={heads}")
    check_min_image_size(name, _find_min_image_size(kernels, strides), img_size)
    splits, token_layers = [], list[nn.Module]()
    channels = in_chans
    for index, (kernel, stride) in enumerate(zip(kernels, strides, strict=True)):
        splits.append(nn.Unfold(kernel, padding=_compute_padding(kernel, stride), stride=stride))
        inputs = channels * kernel**2
        if index == len(kernels) - 1:
            token_layers.append(nn.Linear(inputs, width))
        else:
            seed = index if tokens == "performer" else None
            token_layers.append(TokenLayer(inputs, token_width, seed, activation, dropout))
        channels = token_width
    layers = [
        EncoderLayer(width, heads, ratio * width, activation, dropout, bias=False, eps=1e-5) for _ in range(depth)
    ]
    tokens_per_side = _find_tokens_per_side(img_size, kernels, strides)
    network = T2tVit(splits, token_layers, layers, tokens_per_side**2 + 1, width)
    network.head = nn.Linear(width, num_classes)
    initialise_linear_layers(network)
    return network


def _compute_padding(kernel: int, stride: int) -> int:
    """Return the pixels added on each side so that a soft split divides the map's side by about `stride`."""
    return (kernel - stride + 1) // 2


def _find_tokens_per_side(img_size: int, kernels: Sequence[int], strides: Sequence[int]) -> int:
    """Return the side of the map behind the last soft split."""
    side = img_size
    for kernel, stride in zip(kernels, strides, strict=True):
        padded_side = side + 2 * _compute_padding(kernel, stride)
        side = (padded_side - kernel) // stride + 1
    return side


def _find_min_image_size(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """Return the smallest side of an image of which one token is left behind the last soft split."""
    side = 1
    for kernel, stride in reversed(list(zip(kernels, strides, strict=True))):
        padded_side = kernel + (side - 1) * stride
        side = max(1, padded_side - 2 * _compute_padding(kernel, stride))
    return side


KWARG_RULES = {
    "width": int_between(1, 4096),
    "depth": int_between(1, 64),
    "heads": int_between(1, 64),
    "ratio": int_between(1, 16),
    "token_width": int_between(2, 1024),
    "kernels": list_of(int_between(1, 64), 2, 4),
    "strides": list_of(int_between(1, 64), 2, 4),
    "tokens": one_of("performer", "softmax"),
}
SIZES = {
    "t2t_vit_7": {"width": 256, "depth": 7, "heads": 4, "ratio": 2},
    "t2t_vit_14": {"width": 384, "depth": 14, "heads": 6},
    "t2t_vit_19": {"width": 448, "depth": 19, "heads": 7},
    "t2t_vit_24": {"width": 512, "depth": 24, "heads": 8},
}
TOKEN_ATTENTION = {"": "performer", "_t": "softmax"}  # by the suffix of the name


def _build_entry(size_name: str, suffix: str) -> tuple[str, Builder]:
    name, tokens = size_name + suffix, TOKEN_ATTENTION[suffix]
    build = partial(t2t_vit, name, tokens=tokens, **SIZES[size_name])  # type: ignore[arg-type]
    return name, Builder(build, KWARG_RULES, LAYER_RULES)


BUILDERS = dict(_build_entry(size_name, suffix) for size_name in SIZES for suffix in TOKEN_ATTENTION)
