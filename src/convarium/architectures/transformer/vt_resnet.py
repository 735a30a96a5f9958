"""VT-ResNet (Wu et al. 2020, "Visual transformers: token-based image representation and processing").

This is one reading of the paper: its text leaves open how channels are grouped and where norms and positions are, so
parameters and MACs are within 4 % of its figures, not equal to them. Table 8 of the review calls these networks ViT;
timm's vit_*_r50_* are others.
"""

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any

from torch import Tensor, nn

from convarium.architectures.blocks.activations import ELEMENTWISE_ACTIVATIONS
from convarium.architectures.blocks.attention import LAYER_RULES, initialise_linear_layers
from convarium.architectures.blocks.dropout import build_dropout
from convarium.architectures.builder import Builder, int_between, list_of, one_of


class Tokenizer(nn.Module):
    """Pools pixels into tokens, with weights from filters (the paper's equation 1) or from the tokens before.

    Args:
        recurrent: whether the weights come from the tokens of the module before.
    """

    def __init__(self, inputs: int, width: int, tokens: int, recurrent: bool) -> None:
        super().__init__()
        self.ask = nn.Linear(width, inputs, bias=False) if recurrent else nn.Linear(inputs, tokens, bias=False)
        self.value = nn.Identity() if inputs == width else nn.Linear(inputs, width, bias=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, previous: Tensor | None = None) -> Tensor:
        """Map pixels (N, H * W, inputs), and the previous tokens (N, L, width), to tokens (N, L, width)."""
        scores = self.ask(x) if previous is None else x @ self.ask(previous).transpose(1, 2)
        return self.norm(scores.softmax(1).transpose(1, 2) @ self.value(x))  # type: ignore[no-any-return]


class TokenTransformer(nn.Module):
    """Self-attention of the tokens, then an MLP for each of them (the paper's equations 4 and 5)."""

    def __init__(self, width: int, activation: str, dropout: float) -> None:
        super().__init__()
        self.num_heads = 1  # by this attribute `compression.structure` knows attention, whose channels it leaves whole
        self.key = nn.Linear(width, width // 2, bias=False)
        self.query = nn.Linear(width, width // 2, bias=False)
        self.norm1 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, width, bias=False),
            ELEMENTWISE_ACTIVATIONS[activation](),
            nn.Linear(width, width, bias=False),
            build_dropout(dropout),
        )
        self.norm2 = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (N, L, width) to tokens of the same shape."""
        attention = (self.key(x) @ self.query(x).transpose(1, 2)).softmax(2)
        x = self.norm1(x + attention @ x)
        return self.norm2(x + self.mlp(x))  # type: ignore[no-any-return]


class VtResNet(nn.Module):
    """Three stages of a ResNet, then modules of tokens pooled from its last map; the tokens' mean is classified."""

    def __init__(self, body: nn.Module, tokenizers: list[Tokenizer], transformers: list[TokenTransformer]) -> None:
        super().__init__()
        self.body = body
        self.tokenizers = nn.ModuleList(tokenizers)
        self.transformers = nn.ModuleList(transformers)
        self.head: nn.Module = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        pixels = self.body(x).flatten(2).transpose(1, 2)
        tokens = None
        for tokenizer, transformer in zip(self.tokenizers, self.transformers, strict=True):
            tokens = transformer(tokenizer(pixels, tokens))
        return self.head(tokens.mean(1))  # type: ignore[no-any-return, union-attr]


def vt_resnet(
    block: str,
    in_chans: int,
    num_classes: int,
    img_size: int,
    *,
    depths: Sequence[int] = (3, 4, 6),
    width: int = 64,
    stem: str = "7x7",
    tokens: int = 16,
    token_width: int = 1024,
    modules: int = 3,
    activation: str = "relu",
    dropout: float = 0.0,
) -> nn.Module:
    """ResNet with modules of tokens in place of its last stage.

    VT-R34 is the one with basic blocks 3-4-6: 19,965,736 parameters at 3x224x224, 1000 classes. Linear layers have no
    bias; a norm follows the tokenizer, the attention and the MLP of each module. Tokens are not projected back to the
    map.

    Args:
        block: of the ResNet, basic or bottleneck.
        depths: blocks in each of the ResNet's stages.
        width: channels of the ResNet's first stage.
        stem: 7x7 of stride 2 and max pooling, or 3x3 of stride 2 alone, for small images.
        tokens: their number.
        token_width: channels of a token.
        modules: how many there are, each a tokenizer and a transformer.
        activation: of the tokens' MLP.
        dropout: rate behind the tokens' MLP.
    """
    body, channels = _build_body(block, in_chans, depths, width, stem)
    tokenizers = [Tokenizer(channels, token_width, tokens, recurrent=index > 0) for index in range(modules)]
    transformers = [TokenTransformer(token_width, activation, dropout) for _ in range(modules)]
    network = VtResNet(body, tokenizers, transformers)
    network.head = nn.Linear(token_width, num_classes)
    for part in (network.tokenizers, network.transformers, network.head):  # timm has drawn the body's weights
        initialise_linear_layers(part)
    return network


def _build_body(block: str, in_chans: int, depths: Sequence[int], width: int, stem: str) -> tuple[nn.Module, int]:
    """Return timm's ResNet without its last stage and classifier, and the channels of its map."""
    timm_resnet: Any = import_module("timm.models.resnet")
    block_class = timm_resnet.BasicBlock if block == "basic" else timm_resnet.Bottleneck
    widths = [width << stage for stage in range(4)]
    # timm's ResNet has four stages; the last is as small as it can be, and left out here.
    resnet = timm_resnet.ResNet(
        block_class, [*depths, 1], num_classes=0, in_chans=in_chans, channels=widths, stem_width=width
    )
    stem_layers = [resnet.conv1, resnet.bn1, resnet.act1]
    if stem == "7x7":
        stem_layers.append(resnet.maxpool)
    else:
        stem_layers[0] = nn.Conv2d(in_chans, resnet.bn1.num_features, 3, 2, padding=1, bias=False)
    body = nn.Sequential(*stem_layers, resnet.layer1, resnet.layer2, resnet.layer3)
    return body, widths[2] * block_class.expansion


KWARG_RULES = {
    "depths": list_of(int_between(1, 64), 3, 3),
    "width": int_between(8, 1024),
    "stem": one_of("7x7", "3x3"),
    "tokens": int_between(1, 1024),
    "token_width": int_between(2, 4096),
    "modules": int_between(1, 8),
}
SIZES = {"vt_r34": ("basic", (3, 4, 6)), "vt_r50": ("bottleneck", (3, 4, 6)), "vt_r101": ("bottleneck", (3, 4, 23))}
BUILDERS = {
    name: Builder(partial(vt_resnet, block, depths=depths), KWARG_RULES, LAYER_RULES)
    for name, (block, depths) in SIZES.items()
}
