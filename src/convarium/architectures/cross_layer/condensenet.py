"""CondenseNets, dense networks that learn which connections they need: Huang et al., CVPR 2018."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from convarium.architectures.blocks import pooling as pools
from convarium.architectures.blocks.dropout import build_dropout as dropped
from convarium.architectures.blocks.layers import LAYER_RULES
from convarium.architectures.blocks.learned_groups import (
    LearnedGroupConv,
    LearnedLinear,
    SelectedGroupConv,
    SelectedLinear,
)
from convarium.architectures.blocks.stages import assemble_network
from convarium.architectures.builder import Builder, int_between, list_of, number_between, one_of
from convarium.architectures.image_sizes import check_min_image_size
from convarium.errors import UserError

BOTTLENECK_FACTOR = 4
CLASSIFIER_CONDENSATION = 2  # the classifier keeps one of so many of its inputs
LearnedLayer = LearnedGroupConv | LearnedLinear


class CondenseLayer(nn.Module):
    """A 1x1 convolution with learned groups to 4 times `growth` maps, a grouped 3x3 one to `growth`, concatenated."""

    def __init__(self, form: str, inputs: int, growth: int, groups: int, condensation: int, rate: float) -> None:
        super().__init__()
        width, kind = BOTTLENECK_FACTOR * growth, LearnedGroupConv if form == "learned" else SelectedGroupConv
        self.narrow = kind(inputs, width, groups, condensation, rate)
        self.inner = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.ReLU(),
            dropped(rate),
            nn.Conv2d(width, growth, 3, 1, 1, groups=groups, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, inputs + growth, H, W)."""
        return torch.cat([x, self.inner(self.narrow(x))], 1)


class CondensingNet(nn.Sequential):
    """The form that is trained (see `convarium.architectures.condensing`)."""

    def __init__(self, learned: nn.Sequential, grouped: Callable[[], nn.Sequential], lasso: float) -> None:
        super().__init__(OrderedDict(learned.named_children()))
        self.grouped, self.lasso = grouped, lasso

    @property
    def is_condensed(self) -> bool:
        """Whether all connections are dropped that will be."""
        return all(layer.connections.is_condensed for _, layer in self._iterate_learned_layers())

    def drop_due_connections(self, progress: float) -> None:
        """Drop what is due at the share `progress` of all steps."""
        for _, layer in self._iterate_learned_layers():
            layer.connections.drop_due_connections(layer.weight, progress)

    def penalty(self) -> Tensor:
        """Return the group lasso of the 1x1 convolutions, times its factor (section 3.1 of the paper)."""
        sums = [
            one.connections.compute_group_lasso(one.weight)
            for _, one in self._iterate_learned_layers()
            if isinstance(one, LearnedGroupConv)
        ]
        return self.lasso * torch.stack(sums).sum()

    def build_condensed(self) -> nn.Module:
        """Return the grouped form, which computes what this one does, in evaluation, once all is dropped."""
        self.drop_due_connections(1.0)
        state = dict(self.state_dict())
        for name, layer in self._iterate_learned_layers():
            state = {key: tensor for key, tensor in state.items() if not key.startswith(f"{name}.")}
            state |= {f"{name}.{key}": tensor for key, tensor in layer.condensed_state().items()}
        grouped = self.grouped()
        grouped.load_state_dict(state)
        return grouped.train(self.training)

    def _iterate_learned_layers(self) -> Iterator[tuple[str, LearnedLayer]]:
        return ((name, one) for name, one in self.named_modules() if isinstance(one, LearnedLayer))


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

    The learned form is trained: of each of the `groups` groups of a 1x1 convolution, all but one of `condensation`
    inputs are dropped, of the classifier's inputs every second. The grouped form is what is left, and what a file
    holds: at 3x224x224x1000 the net of 74 layers has 4,773,944 parameters and 516,640,576 MACs, with 8 groups
    2,935,416; that of 86 layers 516,202 at 3x32x32x10. (The paper counts elements of batch normalisation and pooling
    as work, too: 529M of the first.)

    Args:
        lasso: factor of the group lasso in the loss until all is dropped.
        form: a net that is built as "grouped" has ordinary groups unless weights are loaded.

    Raises:
        UserError: images too small, growths that groups don't divide, not as many growths as depths.
    """
    _check_group_sizes(name, depths, growths, groups, condensation)
    check_min_image_size(name, 2 ** len(depths) - 1 if stride == 2 else 2 ** (len(depths) - 1), img_size)
    made = partial(
        _build_form, in_chans, num_classes, stride, depths, growths, (groups, condensation, dropout), pooling
    )
    return CondensingNet(made("learned"), partial(made, "grouped"), lasso) if form == "learned" else made("grouped")


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
    for place, (depth, growth) in enumerate(zip(depths, growths, strict=True), start=1):
        inputs = range(channels, channels + depth * growth, growth)
        layers = [CondenseLayer(form, before, growth, *grouping) for before in inputs]
        parts[f"stage{place}"] = nn.Sequential(*([nn.AvgPool2d(2)] if place > 1 else []), *layers)
        channels += depth * growth
    return assemble_network(parts, _build_head(form, channels, num_classes, pooling))


def _build_head(form: str, channels: int, num_classes: int, pooling: str) -> Mapping[str, nn.Module]:
    classifier = LearnedLinear if form == "learned" else SelectedLinear
    return {
        "bn": nn.BatchNorm2d(channels),
        "relu": nn.ReLU(),
        "pool": pools.build_global_pool(pooling, channels),
        "flatten": nn.Flatten(),
        "fc": classifier(pools.count_features(pooling, channels), num_classes, CLASSIFIER_CONDENSATION),
    }


def _check_group_sizes(
    name: str, depths: Sequence[int], growths: Sequence[int], groups: int, condensation: int
) -> None:
    where = "architecture.kwargs."
    if len(depths) != len(growths):
        raise UserError(
            f"{where}growths: {name} needs one for each of its {len(depths)} depths, there are {len(growths)}"
        )
    if wrong := [growth for growth in growths if growth % groups]:
        raise UserError(f"{where}growths: {wrong[0]} is not a multiple of {where}groups={groups}")
    if condensation > 2 * growths[0]:
        raise UserError(
            f"{where}condensation={condensation}: {name} has layers of {2 * growths[0]} inputs, at most that"
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
    made = partial(condensenet, name, stride, depths=depths, growths=growths, groups=groups, condensation=groups)
    return Builder(made, KWARG_RULES, SUPPORTED_LAYERS, condensed_kwargs={"form": "grouped"})


IMAGENET_DEPTHS_AND_GROWTHS = (4, 6, 8, 10, 8), (8, 16, 32, 64, 128)
BUILDERS = {
    "condensenet_cifar": _make_builder("condensenet_cifar", 1, (14, 14, 14), (8, 16, 32)),
    "condensenet_cifar_182": _make_builder("condensenet_cifar_182", 1, (30, 30, 30), (12, 24, 48)),
    "condensenet_74": _make_builder("condensenet_74", 2, *IMAGENET_DEPTHS_AND_GROWTHS),
    "condensenet_74_g8": _make_builder("condensenet_74_g8", 2, *IMAGENET_DEPTHS_AND_GROWTHS, groups=8),
}
