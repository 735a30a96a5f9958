"""VT-ResNet (Wu et al. 2020, "Visual transformers: token-based image representation and processing").

An own reading: the paper's text leaves open how channels are grouped and where norms and positions are, so that
parameters and MACs lie within 4 % of its figures, not on them. Table 8 of the review calls these networks ViT; timm's
vit_*_r50_* are others.
"""

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any

from torch import Tensor, nn

from convarium.architectures.blocks.activations import ELEMENTWISE_ACTIVATIONS
from convarium.architectures.blocks.attention import LAYER_RULES, initialise_linear_layers
from convarium.architectures.blocks.dropout import build_dropout as make_dropout
from convarium.architectures.builder import Builder, int_between, list_of, one_of


class Tokenizer(nn.Module):
    """Pools pixels into tokens: by filters (the paper's equation 1), or by what the tokens before ask for."""

    def __init__(self, inputs: int, width: int, tokens: int, recurrent: bool) -> None:
        super().__init__()
        self.ask = nn.Linear(*((width, inputs) if recurrent else (inputs, tokens)), bias=False)
        self.value = nn.Identity() if inputs == width else nn.Linear(inputs, width, bias=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, before: Tensor | None = None) -> Tensor:
        """Map pixels (N, H * W, inputs), and the tokens (N, L, width) before, to tokens (N, L, width)."""
        scores = self.ask(x) if before is None else x @ self.ask(before).transpose(1, 2)
        return self.norm(scores.softmax(1).transpose(1, 2) @ self.value(x))  # type: ignore[no-any-return]


class TokenTransformer(nn.Module):
    """Tokens exchange what they hold, then each is mapped by itself (the paper's equations 4 and 5)."""

    def __init__(self, width: int, activation: str, dropout: float) -> None:
        super().__init__()
        self.num_heads = 1
        self.key = nn.Linear(width, width // 2, bias=False)
        self.query = nn.Linear(width, width // 2, bias=False)
        self.norm1 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, width, bias=False),
            ELEMENTWISE_ACTIVATIONS[activation](),
            nn.Linear(width, width, bias=False),
            make_dropout(dropout),
        )
        self.norm2 = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (N, L, width) to tokens of the same shape."""
        x = self.norm1(x + (self.key(x) @ self.query(x).transpose(1, 2)).softmax(2) @ x)
        return self.norm2(x + self.mlp(x))  # type: ignore[no-any-return]


class VtResNet(nn.Module):
    """Three stages of a ResNet, modules of tokens that look at its last map; the tokens' mean is classified."""

    def __init__(self, body: nn.Module, tokenizers: list[Tokenizer], transformers: list[TokenTransformer]) -> None:
        super().__init__()
        self.body = body
        self.tokenizers = nn.ModuleList(tokenizers)
        self.transformers = nn.ModuleList(transformers)
        self.head: nn.Module = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        pixels, tokens = self.body(x).flatten(2).transpose(1, 2), None
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
    """A ResNet whose last stage gives way to modules of tokens; basic blocks 3-4-6 are VT-R34: 19,965,736 parameters.

    At 3x224x224, 1000 classes. Linear layers have no bias; a norm stands behind the tokenizer, the attention and the
    MLP of each module. What tokens learn is not projected back to the map.

    Args:
        block: basic or bottleneck, of the ResNet; depths: blocks of its stages; width: channels of the first.
        stem: 7x7 of stride 2 and max pooling, or 3x3 of stride 2 alone, for small images.
        tokens: how many there are, of token_width channels; modules: how often they look at the map.
        activation: of the tokens' MLP; dropout is its, too.
    """
    body, channels = _build_body(block, in_chans, depths, width, stem)
    tokenizers = [Tokenizer(channels, token_width, tokens, index > 0) for index in range(modules)]
    network = VtResNet(body, tokenizers, [TokenTransformer(token_width, activation, dropout) for _ in tokenizers])
    network.head = nn.Linear(token_width, num_classes)
    for part in (network.tokenizers, network.transformers, network.head):
        initialise_linear_layers(part)
    return network


def _build_body(block: str, in_chans: int, depths: Sequence[int], width: int, stem: str) -> tuple[nn.Module, int]:
    """Return timm's ResNet without its last stage and classifier, and the channels of its map."""
    resnet: Any = import_module("timm.models.resnet")
    made = resnet.BasicBlock if block == "basic" else resnet.Bottleneck
    widths = [width << stage for stage in range(4)]
    whole = resnet.ResNet(made, [*depths, 1], num_classes=0, in_chans=in_chans, channels=widths, stem_width=width)
    first, rest = (whole.conv1, whole.bn1, whole.act1), (whole.layer1, whole.layer2, whole.layer3)
    if stem == "3x3":
        first = (nn.Conv2d(in_chans, first[1].num_features, 3, 2, padding=1, bias=False), *first[1:])
    pool = (whole.maxpool,) if stem == "7x7" else ()
    return nn.Sequential(*first, *pool, *rest), widths[2] * (1 if block == "basic" else 4)


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
