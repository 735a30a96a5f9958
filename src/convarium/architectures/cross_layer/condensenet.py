"""CondenseNets, DenseNets that learn which connections they need: Huang et al., CVPR 2018."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from convarium.architectures.blocks.dropout import build_dropout
from convarium.architectures.blocks.layers import LAYER_RULES
from convarium.architectures.blocks.learned_groups import (
    LearnedGroupConv,
    LearnedLinear,
    SelectedGroupConv,
    SelectedLinear,
)
from convarium.architectures.blocks.pooling import build_global_pool, count_features
from convarium.architectures.blocks.stages import assemble_network
from convarium.architectures.builder import Builder, int_between, list_of, number_between, one_of
from convarium.architectures.image_sizes import check_min_image_size
from convarium.errors import UserError

BOTTLENECK_FACTOR = 4
CLASSIFIER_CONDENSATION = 2  # the classifier keeps every second input
LearnedLayer = LearnedGroupConv | LearnedLinear


class CondenseLayer(nn.Module):
    """A 1x1 convolution with learned groups to 4 times `growth` maps, a grouped 3x3 to `growth`, which are appended."""

    def __init__(self, form: str, inputs: int, growth: int, groups: int, condensation: int, rate: float) -> None:
        super().__init__()
        width = BOTTLENECK_FACTOR * growth
        group_conv = LearnedGroupConv if form == "learned" else SelectedGroupConv
        self.narrow = group_conv(inputs, width, groups, condensation, rate)
        self.inner = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.ReLU(),
            build_dropout(rate),
            nn.Conv2d(width, growth, 3, 1, 1, groups=groups, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, inputs + growth, H, W)."""
        return torch.cat([x, self.inner(self.narrow(x))], 1)


class CondensingNet(nn.Sequential):
    """The form that is trained (see `convarium.architectures.condensing`)."""

    def __init__(self, learned: nn.Sequential, build_grouped: Callable[[], nn.Sequential], lasso: float) -> None:
        super().__init__(OrderedDict(learned.named_children()))
        self.build_grouped, self.lasso = build_grouped, lasso

    @property
    def is_condensed(self) -> bool:
        """Whether every layer has dropped its last connections."""
        return all(layer.connections.is_condensed for layer in self._list_learned_layers().values())

    def drop_due_connections(self, progress: float) -> None:
        """Drop what is due at the share `progress` of all steps."""
        for layer in self._list_learned_layers().values():
            layer.connections.drop_due_connections(layer.weight, progress)

    def penalty(self) -> Tensor:
        """Return the group lasso of the 1x1 convolutions, times its factor (section 3.1 of the paper)."""
        convolutions = [layer for layer in self.modules() if isinstance(layer, LearnedGroupConv)]
        penalties = [layer.connections.compute_group_lasso(layer.weight) for layer in convolutions]
        return self.lasso * torch.stack(penalties).sum()

    def build_condensed(self) -> nn.Module:
        """Drop what is left to drop and return the grouped form, which in evaluation computes the same."""
        self.drop_due_connections(1.0)
        state = dict(self.state_dict())
        for name, layer in self._list_learned_layers().items():
            state = {key: tensor for key, tensor in state.items() if not key.startswith(f"{name}.")}
            state |= {f"{name}.{key}": tensor for key, tensor in layer.build_condensed_state().items()}
        grouped = self.build_grouped()
        grouped.load_state_dict(state)
        return grouped.train(self.training)

    def _list_learned_layers(self) -> dict[str, LearnedLayer]:
        return {name: layer for name, layer in self.named_modules() if isinstance(layer, LearnedLayer)}


def condensenet(
    name: str,
    stride: int,
    in_chans: int,
    num_classes: int,
    img_size: int,
    depths: Sequence[int],
    growths: Sequence[int],
    groups: int = 4,
    condensation: int = 4,
    lasso: float = 1e-5,
    form: str = "learned",
    pooling: str = "average",
    dropout: float = 0.0,
) -> nn.Module:
    """CondenseNet of `depths` layers a stage, each of which adds `growths` maps; its 3x3 stem has stride 2 or 1.

    The learned form is trained: each of the `groups` groups of a 1x1 convolution drops all but one of every
    `condensation` inputs, the classifier every second input. The grouped form is what is left, and what a file holds:
    at 3x224x224x1000 the network of 74 layers has 4,773,944 parameters and 516,640,576 MACs, with 8 groups 2,935,416;
    that of 86 layers has 516,202 at 3x32x32x10. (The paper also counts the elements of batch normalisation and
    pooling as work: 529M for the first.)

    Args:
        lasso: factor of the group lasso in the loss until all is dropped.
        form: "learned" or "grouped"; a grouped network has ordinary groups until weights are loaded.

    Raises:
        UserError: images too small, growths that are no multiple of `groups`, not as many growths as depths.
    """
    _check_group_sizes(name, depths, growths, groups, condensation)
    min_size = 2 ** len(depths) - 1 if stride == 2 else 2 ** (len(depths) - 1)
    check_min_image_size(name, min_size, img_size)
    grouping = (groups, condensation, dropout)
    build_form = partial(_build_form, in_chans, num_classes, stride, depths, growths, grouping, pooling)
    if form == "grouped":
        return build_form("grouped")
    return CondensingNet(build_form("learned"), partial(build_form, "grouped"), lasso)


def _build_form(
    in_chans: int,
    num_classes: int,
    stride: int,
    depths: Sequence[int],
    growths: Sequence[int],
    grouping: tuple[int, int, float],
    pooling: str,
    form: str,
) -> nn.Sequential:
    channels = 2 * growths[0]
    parts: dict[str, nn.Module] = {"conv1": nn.Conv2d(in_chans, channels, 3, stride, 1, bias=False)}
    for number, (depth, growth) in enumerate(zip(depths, growths, strict=True), start=1):
        layers: list[nn.Module] = [] if number == 1 else [nn.AvgPool2d(2)]
        for _ in range(depth):
            layers.append(CondenseLayer(form, channels, growth, *grouping))
            channels += growth
        parts[f"stage{number}"] = nn.Sequential(*layers)
    return assemble_network(parts, _build_head(form, channels, num_classes, pooling))


def _build_head(form: str, channels: int, num_classes: int, pooling: str) -> Mapping[str, nn.Module]:
    classifier = LearnedLinear if form == "learned" else SelectedLinear
    return {
        "bn": nn.BatchNorm2d(channels),
        "relu": nn.ReLU(),
        "pool": build_global_pool(pooling, channels),
        "flatten": nn.Flatten(),
        "fc": classifier(count_features(pooling, channels), num_classes, CLASSIFIER_CONDENSATION),
    }


def _check_group_sizes(
    name: str, depths: Sequence[int], growths: Sequence[int], groups: int, condensation: int
) -> None:
    prefix = "architecture.kwargs."
    if len(depths) != len(growths):
        raise UserError(
            f"{prefix}growths: {name} needs one for each of its {len(depths)} depths, there are {len(growths)}"
        )
    for growth in growths:
        if growth % groups:
            raise UserError(f"{prefix}growths: {growth} is not a multiple of {prefix}groups={groups}")
    if condensation > 2 * growths[0]:
        raise UserError(
            f"{prefix}condensation={condensation}: {name} has layers of {2 * growths[0]} inputs, at most that"
        )


KWARG_RULES = {
    "depths": list_of(int_between(1, 64), 1, 8),
    "growths": list_of(int_between(1, 512), 1, 8),
    "groups": int_between(1, 64),
    "condensation": int_between(1, 64),
    "lasso": number_between(0, 1),
    "form": one_of("learned", "grouped"),
}
SUPPORTED_LAYERS = {key: LAYER_RULES[key] for key in ("pooling", "dropout")}


def _make_builder(name: str, stride: int, depths: Sequence[int], growths: Sequence[int], groups: int = 4) -> Builder:
    # In the paper's networks the condensation factor equals the number of groups (C = G).
    build = partial(condensenet, name, stride, depths=depths, growths=growths, groups=groups, condensation=groups)
    return Builder(build, KWARG_RULES, SUPPORTED_LAYERS, condensed_kwargs={"form": "grouped"})


IMAGENET_DEPTHS_AND_GROWTHS = (4, 6, 8, 10, 8), (8, 16, 32, 64, 128)
BUILDERS = {
    "condensenet_cifar": _make_builder("condensenet_cifar", 1, (14, 14, 14), (8, 16, 32)),
    "condensenet_cifar_182": _make_builder("condensenet_cifar_182", 1, (30, 30, 30), (12, 24, 48)),
    "condensenet_74": _make_builder("condensenet_74", 2, *IMAGENET_DEPTHS_AND_GROWTHS),
    "condensenet_74_g8": _make_builder("condensenet_74_g8", 2, *IMAGENET_DEPTHS_AND_GROWTHS, groups=8),
}
