"""Conformer (Peng et al., ICCV 2021, "Conformer: local features coupling global representations").

timm's convformer_* (of MetaFormer) and torchaudio's Conformer (for speech) are other networks.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from convarium.architectures.blocks.attention import LAYER_RULES, EncoderLayer, initialise_linear_layers
from convarium.architectures.builder import Builder, int_between
from convarium.errors import UserError

NORM_EPS = 1e-6


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with a shortcut, which has a 1x1 convolution where the shape changes.

    The transformer's maps are added before the 3x3 convolution; the transformer gets the maps behind it.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, projects: bool = False) -> None:
        super().__init__()
        inner = outputs // 4
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner, eps=NORM_EPS)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner, eps=NORM_EPS)
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs, eps=NORM_EPS)
        self.relu = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if projects:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(outputs, eps=NORM_EPS))

    def forward(self, x: Tensor, added: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map (N, inputs, H, W) to maps of `outputs` channels and the inner ones of outputs // 4."""
        inner = self.relu(self.bn1(self.conv1(x)))
        if added is not None:
            inner = inner + added
        inner = self.relu(self.bn2(self.conv2(inner)))
        return self.relu(self.bn3(self.conv3(inner)) + self.shortcut(x)), inner


class MapsToTokens(nn.Module):
    """The paper's feature coupling unit from maps to tokens: 1x1 convolution, average pooling, layer norm and GELU."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(inputs, width, 1)
        self.pool = nn.AvgPool2d(stride)
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.gelu = nn.GELU()

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, 1 + T, width), to be added to `tokens`, whose class token it takes over."""
        pooled = self.pool(self.project(x)).flatten(2).transpose(1, 2)
        return torch.cat([tokens[:, :1], self.gelu(self.norm(pooled))], dim=1)


class TokensToMaps(nn.Module):
    """The paper's feature coupling unit from tokens to maps: 1x1 convolution, batch norm and nearest upsampling."""

    def __init__(self, width: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(width, outputs, 1)
        self.bn = nn.BatchNorm2d(outputs, eps=NORM_EPS)
        self.relu = nn.ReLU()
        self.stride = stride

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """Map tokens (N, 1 + T, width) to maps (N, outputs, *size)."""
        token_size = (size[0] // self.stride, size[1] // self.stride)
        x = torch.unflatten(tokens[:, 1:].transpose(1, 2), 2, token_size)
        return functional.interpolate(self.relu(self.bn(self.project(x))), size=size)


class CoupledStage(nn.Module):
    """A bottleneck whose inner maps join the tokens, an encoder layer, and a bottleneck that the tokens join."""

    def __init__(self, inputs: int, outputs: int, stride: int, pool: int, is_last: bool, layer: EncoderLayer) -> None:
        super().__init__()
        width = layer.norm1.normalized_shape[0]
        self.first = Bottleneck(inputs, outputs, stride, projects=inputs != outputs)
        self.down = MapsToTokens(outputs // 4, width, pool)
        self.layer = layer
        self.up = TokensToMaps(width, outputs // 4, pool)
        self.second = Bottleneck(outputs, outputs, 2 if is_last else 1, projects=is_last)

    def forward(self, x: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Map maps (N, inputs, H, W) and tokens (N, 1 + T, width) to those of the next stage."""
        x, inner = self.first(x)
        tokens = self.layer(tokens + self.down(inner, tokens))
        added = self.up(tokens, (inner.shape[2], inner.shape[3]))
        x, _ = self.second(x, added)
        return x, tokens


class Conformer(nn.Module):
    """A stem, a branch of maps and one of tokens, coupled at each stage; the logits of both are added.

    Args:
        stages: stages at each of the three sizes of map.
        build_layer: builds an encoder layer.
    """

    def __init__(
        self,
        in_chans: int,
        num_classes: int,
        channels: int,
        width: int,
        stages: int,
        build_layer: Callable[[], EncoderLayer],
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_chans, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.first = Bottleneck(64, channels, projects=True)
        self.embed = nn.Conv2d(64, width, 4, 4)
        self.token = nn.Parameter(nn.init.trunc_normal_(torch.zeros(1, 1, width), std=0.02))
        self.layer = build_layer()
        coupled, inputs = [], channels
        for index in range(1, 3 * stages):  # stage 0 is `self.first` and `self.layer`, not coupled yet
            halvings = index // stages
            outputs = channels << halvings
            stride = 2 if halvings > 0 and index % stages == 0 else 1
            pool = 4 >> halvings
            is_last = index == 3 * stages - 1
            coupled.append(CoupledStage(inputs, outputs, stride, pool, is_last, build_layer()))
            inputs = outputs
        self.coupled = nn.ModuleList(coupled)
        self.average = nn.AdaptiveAvgPool2d(1)
        self.conv_head = nn.Linear(inputs, num_classes)
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.token_head = nn.Linear(width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        initialise_linear_layers(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        x = self.pool(self.relu(self.bn1(self.conv1(_pad_to_multiple(x)))))
        tokens = self.embed(x).flatten(2).transpose(1, 2)
        tokens = self.layer(torch.cat([self.token.expand(x.shape[0], -1, -1), tokens], dim=1))
        x, _ = self.first(x)
        for stage in self.coupled:
            x, tokens = stage(x, tokens)
        conv_logits: Tensor = self.conv_head(self.average(x).flatten(1))
        return conv_logits + self.token_head(self.norm(tokens)[:, 0])  # type: ignore[no-any-return]


def _pad_to_multiple(x: Tensor) -> Tensor:
    """Pad images with zeros, equally on both sides, to the next multiple of 16 pixels."""
    rows, columns = -x.shape[2] % 16, -x.shape[3] % 16
    if rows == columns == 0:
        return x
    top, left = rows // 2, columns // 2
    return functional.pad(x, (left, columns - left, top, rows - top))


def conformer(
    name: str,
    in_chans: int,
    num_classes: int,
    img_size: int,
    *,
    channels: int = 64,
    width: int = 384,
    heads: int = 6,
    stages: int = 4,
    activation: str = "gelu",
    dropout: float = 0.0,
) -> nn.Module:
    """Conformer as in table 1 of the paper; 64 channels give Ti: 23,524,704 parameters at 3x224x224, 1000 classes.

    The authors train each classifier with a loss of its own; here the logits are added in training as well. There are
    no position embeddings: the convolutions make up for them. Images are padded to a multiple of 16 pixels.

    Args:
        channels: of the first stages' maps; 2 and 4 times as many follow.
        width: channels of the tokens.
        heads: of the tokens' attention.
        stages: at each of the three sizes of map.
        activation: of the encoder's MLPs.
        dropout: rate in the encoder's layers.

    Raises:
        UserError: heads that don't divide the width.
    """
    if width % heads or channels % 4:
        raise UserError(f"{name}: width={width} must be a multiple of heads={heads}, channels={channels} of 4")
    build_layer = partial(EncoderLayer, width, heads, 4 * width, activation, dropout)
    return Conformer(in_chans, num_classes, channels, width, stages, build_layer)


KWARG_RULES = {
    "channels": int_between(4, 1024),
    "width": int_between(1, 4096),
    "heads": int_between(1, 64),
    "stages": int_between(1, 16),
}
SIZES = {"tiny": (64, 384, 6), "small": (256, 384, 6), "base": (384, 576, 9)}  # channels, width, heads


def _build_entry(size: str) -> tuple[str, Builder]:
    name = f"conformer_{size}"
    channels, width, heads = SIZES[size]
    build = partial(conformer, name, channels=channels, width=width, heads=heads)
    return name, Builder(build, KWARG_RULES, LAYER_RULES)


BUILDERS = dict(map(_build_entry, SIZES))
