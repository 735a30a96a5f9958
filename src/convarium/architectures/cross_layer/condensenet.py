"""CondenseNets, dense networks that learn which connections they need: Huang et al., CVPR 2018."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from convarium.architectures.blocks import pooling as pools
from convarium.architectures.blocks.dropout import dropout as dropped
from convarium.architectures.blocks.layers import LAYERS
from convarium.architectures.blocks.learned_groups import (
    LearnedGroupConv,
    LearnedLinear,
    SelectedGroupConv,
    SelectedLinear,
)
from convarium.architectures.blocks.stages import network
from convarium.architectures.kwargs import Builder, choice, many, number, whole
from convarium.architectures.sizes import at_least
from convarium.errors import UserError

BOTTLENECK = 4
CLASSIFIER = 2  # the classifier keeps one of so many of its inputs
Learned = LearnedGroupConv | LearnedLinear


class CondenseLayer(nn.Module):
    """A 1x1 convolution with learned groups to 4 times `growth` maps, a grouped 3x3 one to `growth`, concatenated."""

    def __init__(self, form: str, inputs: int, growth: int, groups: int, condensation: int, rate: float) -> None:
        super().__init__()
        width, kind = BOTTLENECK * growth, LearnedGroupConv if form == "learned" else SelectedGroupConv
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
    def settled(self) -> bool:
        """Whether all connections are dropped that will be."""
        return all(layer.connections.settled for _, layer in self._learned())

    def advance(self, progress: float) -> None:
        """Drop what is due at the share `progress` of all steps."""
        for _, layer in self._learned():
            layer.connections.advance(layer.weight, progress)

    def penalty(self) -> Tensor:
        """Return the group lasso of the 1x1 convolutions, times its factor (section 3.1 of the paper)."""
        sums = [one.connections.lasso(one.weight) for _, one in self._learned() if isinstance(one, LearnedGroupConv)]
        return self.lasso * torch.stack(sums).sum()

    def delivered(self) -> nn.Module:
        """Return the grouped form, which computes what this one does, in evaluation, once all is dropped."""
        self.advance(1.0)
        state = dict(self.state_dict())
        for name, layer in self._learned():
            state = {key: tensor for key, tensor in state.items() if not key.startswith(f"{name}.")}
            state |= {f"{name}.{key}": tensor for key, tensor in layer.condensed().items()}
        grouped = self.grouped()
        grouped.load_state_dict(state)
        return grouped.train(self.training)

    def _learned(self) -> Iterator[tuple[str, Learned]]:
        return ((name, one) for name, one in self.named_modules() if isinstance(one, Learned))


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
    _check(name, depths, growths, groups, condensation)
    at_least(name, 2 ** len(depths) - 1 if stride == 2 else 2 ** (len(depths) - 1), img_size)
    made = partial(_made, in_chans, num_classes, stride, depths, growths, (groups, condensation, dropout), pooling)
    return CondensingNet(made("learned"), partial(made, "grouped"), lasso) if form == "learned" else made("grouped")


def _made(
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
    return network(parts, _tail(form, channels, num_classes, pooling))


def _tail(form: str, channels: int, num_classes: int, pooling: str) -> Mapping[str, nn.Module]:
    classifier = LearnedLinear if form == "learned" else SelectedLinear
    return {
        "bn": nn.BatchNorm2d(channels),
        "relu": nn.ReLU(),
        "pool": pools.global_pool(pooling, channels),
        "flatten": nn.Flatten(),
        "fc": classifier(pools.features(pooling, channels), num_classes, CLASSIFIER),
    }


def _check(name: str, depths: Sequence[int], growths: Sequence[int], groups: int, condensation: int) -> None:
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


ALLOWED = {
    "depths": many(whole(1, 64), 1, 8),
    "growths": many(whole(1, 512), 1, 8),
    "groups": whole(1, 64),
    "condensation": whole(1, 64),
    "lasso": number(0, 1),
    "form": choice("learned", "grouped"),
}
TAKES = {key: LAYERS[key] for key in ("pooling", "dropout")}


def _builder(name: str, stride: int, depths: Sequence[int], growths: Sequence[int], groups: int = 4) -> Builder:
    made = partial(condensenet, name, stride, depths=depths, growths=growths, groups=groups, condensation=groups)
    return Builder(made, ALLOWED, TAKES, delivered={"form": "grouped"})


IMAGENET = (4, 6, 8, 10, 8), (8, 16, 32, 64, 128)
BUILDERS = {
    "condensenet_cifar": _builder("condensenet_cifar", 1, (14, 14, 14), (8, 16, 32)),
    "condensenet_cifar_182": _builder("condensenet_cifar_182", 1, (30, 30, 30), (12, 24, 48)),
    "condensenet_74": _builder("condensenet_74", 2, *IMAGENET),
    "condensenet_74_g8": _builder("condensenet_74_g8", 2, *IMAGENET, groups=8),
}
