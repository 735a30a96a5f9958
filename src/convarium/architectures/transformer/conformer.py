"""Conformer (Peng et al., ICCV 2021, "Conformer: local features coupling global representations").

timm's convformer_* (of MetaFormer) and torchaudio's Conformer (for speech) are other networks.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from convarium.architectures.blocks.attention import LAYER_RULES, EncoderLayer, initialise_linear_layers
from convarium.architectures.builder import Builder, int_between
from convarium.errors import UserError

NORM_EPS = 1e-6


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut, which has a 1x1 convolution where the shape changes.

    What the transformer gives is added before the 3x3; what it is given is behind it.
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
        inner = self.relu(self.bn2(self.conv2(inner if added is None else inner + added)))
        return self.relu(self.bn3(self.conv3(inner)) + self.shortcut(x)), inner


class Down(nn.Module):
    """From maps to tokens: feature coupling unit with 1x1 convolution, average pooling, norm; the class token goes."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(inputs, width, 1)
        self.pool = nn.AvgPool2d(stride)
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.gelu = nn.GELU()

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, 1 + T, width): what is added to `tokens`, their own class token first."""
        pooled = self.pool(self.project(x)).flatten(2).transpose(1, 2)
        return torch.cat([tokens[:, :1], self.gelu(self.norm(pooled))], dim=1)


class Up(nn.Module):
    """From tokens to maps: feature coupling unit with 1x1 convolution, batch norm and nearest upsampling."""

    def __init__(self, width: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(width, outputs, 1)
        self.bn = nn.BatchNorm2d(outputs, eps=NORM_EPS)
        self.relu = nn.ReLU()
        self.stride = stride

    def forward(self, tokens: Tensor, side: tuple[int, int]) -> Tensor:
        """Map tokens (N, 1 + T, width) to maps (N, outputs, *side)."""
        coarse = (side[0] // self.stride, side[1] // self.stride)
        x = torch.unflatten(tokens[:, 1:].transpose(1, 2), 2, coarse)
        return functional.interpolate(self.relu(self.bn(self.project(x))), size=side)


class Coupled(nn.Module):
    """A bottleneck and an encoder layer that see each other, then a bottleneck that sees what the layer made of it."""

    def __init__(self, inputs: int, outputs: int, stride: int, pool: int, last: bool, layer: EncoderLayer) -> None:
        super().__init__()
        width = layer.norm1.normalized_shape[0]
        self.first = Bottleneck(inputs, outputs, stride, projects=inputs != outputs)
        self.down = Down(outputs // 4, width, pool)
        self.layer = layer
        self.up = Up(width, outputs // 4, pool)
        self.second = Bottleneck(outputs, outputs, 2 if last else 1, projects=last)

    def forward(self, x: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, inputs, H, W) and tokens (N, 1 + T, width) to the next of both."""
        x, inner = self.first(x)
        tokens = self.layer(tokens + self.down(inner, tokens))
        return self.second(x, self.up(tokens, (inner.shape[2], inner.shape[3])))[0], tokens


class Conformer(nn.Module):
    """A stem, two branches of twelve stages, a classifier at the end of each; their logits are added."""

    def __init__(self, in_chans: int, num_classes: int, channels: int, width: int, stages: int, layer: Any) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_chans, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.first = Bottleneck(64, channels, projects=True)
        self.embed = nn.Conv2d(64, width, 4, 4)
        self.token = nn.Parameter(nn.init.trunc_normal_(torch.zeros(1, 1, width), std=0.02))
        self.layer = layer()
        coupled, inputs = [], channels
        for place in range(1, 3 * stages):
            group = place // stages
            outputs, stride = channels << group, 2 if group and place % stages == 0 else 1
            coupled.append(Coupled(inputs, outputs, stride, 4 >> group, place == 3 * stages - 1, layer()))
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
        x = self.first(x)[0]
        for coupled in self.coupled:
            x, tokens = coupled(x, tokens)
        local: Tensor = self.conv_head(self.average(x).flatten(1))
        return local + self.token_head(self.norm(tokens)[:, 0])  # type: ignore[no-any-return]


def _pad_to_multiple(x: Tensor) -> Tensor:
    """Widen images with zeros, equally on both sides, to the next multiple of 16 pixels."""
    rows, columns = -x.shape[2] % 16, -x.shape[3] % 16
    if rows == columns == 0:
        return x
    return functional.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))


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

    The authors train each classifier with a loss of its own; here, in training as behind it, logits are added. There
    are not positions: the convolutions tell them. Images are padded to a multiple of 16 pixels.

    Args:
        channels: of the first convolution stages; 2 and 4 times as many follow. width and heads are of the tokens.
        stages: of each of the three sizes of map.
        activation: of the encoder's MLPs; dropout is theirs, too.

    Raises:
        UserError: heads that don't divide the width.
    """
    if width % heads or channels % 4:
        raise UserError(f"{name}: width={width} must be a multiple of heads={heads}, channels={channels} of 4")
    layer = partial(EncoderLayer, width, heads, 4 * width, activation, dropout)
    return Conformer(in_chans, num_classes, channels, width, stages, layer)


KWARG_RULES = {
    "channels": int_between(4, 1024),
    "width": int_between(1, 4096),
    "heads": int_between(1, 64),
    "stages": int_between(1, 16),
}
SIZES = {"tiny": (64, 384, 6), "small": (256, 384, 6), "base": (384, 576, 9)}
BUILDERS = {
    f"conformer_{size}": Builder(
        partial(conformer, f"conformer_{size}", channels=channels, width=width, heads=heads), KWARG_RULES, LAYER_RULES
    )
    for size, (channels, width, heads) in SIZES.items()
}
