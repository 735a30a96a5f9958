"""Networks as an outside package might bring them: small, each odd in one way."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from convarium.architectures.builder import Builder

WIDTH = 8
BUILD_COUNTER = count()
MakeValue = Callable[[], Any]
UseValue = Callable[[Any, Tensor], Tensor]


class Net(nn.Module):
    """Two convolutions and a classifier; `held` is its attribute, which `use` reads between the two."""

    held: Any

    def __init__(self, in_chans: int, num_classes: int, make: MakeValue, use: UseValue) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_chans, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv2d(WIDTH, 12, 3, padding=1)
        self.norm = nn.BatchNorm2d(12)
        self.fc = nn.Linear(12, num_classes)
        self.held = make()
        self.use = use

    def forward(self, x: Tensor) -> Tensor:
        x = self.between(self.conv1(x).relu())
        return self.fc(self.norm(self.conv2(x)).relu().mean((2, 3)))  # type: ignore[no-any-return]

    def between(self, x: Tensor) -> Tensor:
        return self.use(self.held, x)


def describe_odd_network(name: str) -> dict[str, Any]:
    """The architecture `name` of this file, for images of 1x8x8 and 10 classes."""
    sizes = {"in_chans": 1, "num_classes": 10, "img_size": 8}
    return {"source": "own", "name": f"odd_networks:{name}", "stem": "native", "kwargs": {}, **sizes}


def build_odd_header(name: str) -> dict[str, Any]:
    """The header of a file with the architecture `name`."""
    given = {"shape": [1, 8, 8], "mean": [0.0], "std": [1.0]}
    return {
        "architecture": describe_odd_network(name),
        "task": "classification",
        "classes": 10,
        "input": given,
        "surgery": [],
    }


def half_tensor() -> Tensor:
    return torch.full((WIDTH, 1, 1), 0.5)


class Statistics(NamedTuple):
    mean: Tensor
    std: Tensor


@dataclass(frozen=True)
class Frozen:
    mean: Tensor
    further: Mapping[str, list[Tensor]]


@dataclass(slots=True)
class Slotted:
    mean: Tensor


class Shift:
    def __init__(self) -> None:
        self.mean = half_tensor()

    def apply(self, x: Tensor) -> Tensor:
        return x - self.mean


class Buffer(nn.Module):
    held: Tensor

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("held", value, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x - self.held


CONSTANTS: dict[str, tuple[MakeValue, UseValue]] = {
    "PLAIN": (half_tensor, lambda held, x: x - held),
    "LIST": (lambda: [half_tensor(), half_tensor()], lambda held, x: x - held[0] - held[1]),
    "DICT": (lambda: {"mean": {"deep": half_tensor()}}, lambda held, x: x - held["mean"]["deep"]),
    "TUPLE": (lambda: (half_tensor(), [half_tensor()]), lambda held, x: x - held[0] - held[1][0]),
    "NAMED": (lambda: Statistics(half_tensor(), half_tensor()), lambda held, x: (x - held.mean) / held.std),
    "FROZEN": (
        lambda: Frozen(half_tensor(), {"a": [half_tensor()]}),
        lambda held, x: x - held.mean - held.further["a"][0],
    ),
    "SLOTTED": (lambda: Slotted(half_tensor()), lambda held, x: x - held.mean),
    "OBJECT": (lambda: SimpleNamespace(inner=Shift()), lambda held, x: held.inner.apply(x)),
    "METHOD": (lambda: Shift().apply, lambda held, x: held(x)),
    "PARTIAL": (lambda: partial(torch.sub, other=half_tensor()), lambda held, x: held(x)),
    "MATRIX": (lambda: torch.eye(WIDTH), lambda held, x: torch.einsum("nchw,cd->ndhw", x, held)),
    "NUMPY": (lambda: torch.from_numpy(np.full((WIDTH, 1, 1), 0.5, np.float32)), lambda held, x: x - held),
    "BUFFER": (lambda: Buffer(half_tensor()), lambda held, x: held(x)),
    "NUMPY_BUFFER": (lambda: Buffer(torch.from_numpy(np.ones((WIDTH, 1, 1), np.float32))), lambda held, x: held(x)),
    "WHOLE": (lambda: {"order": torch.arange(WIDTH).flip(0)}, lambda held, x: x[:, held["order"]]),
}


def make_net_builder(make: MakeValue, use: UseValue) -> Builder:
    return Builder(lambda in_chans, num_classes, img_size: Net(in_chans, num_classes, make, use), {})


globals().update({name: make_net_builder(make, use) for name, (make, use) in CONSTANTS.items()})


class Answering(Net):
    """Like Net, with a say in what goes in and what comes out."""

    def __init__(self, in_chans: int, num_classes: int, begin: MakeValue | Any, end: Any) -> None:
        super().__init__(in_chans, num_classes, lambda: None, lambda held, x: x)
        self.begin, self.end = begin, end

    def forward(self, x: Tensor) -> Any:
        return self.end(self, super().forward(self.begin(self, x)))


class Holding(Net):
    """Like Net, with something added to it that `use` reads."""

    def __init__(self, in_chans: int, num_classes: int, add: Callable[[Any], None], use: UseValue) -> None:
        super().__init__(in_chans, num_classes, lambda: None, lambda held, x: x)
        self.read = use
        add(self)

    def between(self, x: Tensor) -> Tensor:
        return self.read(self, x)


def make_answering_builder(begin: Any = lambda net, x: x, end: Any = lambda net, y: y) -> Builder:
    return Builder(lambda in_chans, num_classes, img_size: Answering(in_chans, num_classes, begin, end), {})


def make_holding_builder(add: Callable[[Any], None], use: UseValue = lambda net, x: x) -> Builder:
    return Builder(lambda in_chans, num_classes, img_size: Holding(in_chans, num_classes, add, use), {})


def draw_tensor() -> Tensor:
    return torch.rand(WIDTH, 1, 1)


def draw_numpy_tensor() -> Tensor:
    return torch.from_numpy(np.random.rand(WIDTH, 1, 1).astype(np.float32))


def zero_first_channel(net: Any, x: Tensor) -> Tensor:
    x[:, 0] = 0
    return x


def increase_in_place(net: Any, x: Tensor) -> Tensor:
    x += 1
    return x


def write_through_data(net: Any, x: Tensor) -> Tensor:
    x.data.sub_(1)
    return x


def make_buffer_builder(dtype: torch.dtype) -> Builder:
    value = torch.ones(WIDTH, 1, 1, dtype=dtype)
    return make_holding_builder(
        lambda net: net.register_buffer("scale", value), lambda net, x: x * net.scale.real.float()
    )


def fail_in_training(net: Any, y: Tensor) -> Tensor:
    if net.training:
        raise ValueError("no such thing while training")
    return y


def add_gate(net: Any) -> None:
    net.gate, net.factor = nn.Parameter(torch.zeros(1)), random.random()


def add_layers(net: Any) -> None:
    net.more = nn.Sequential(*(nn.Conv2d(WIDTH, WIDTH, 1) for _ in range(1 + int(torch.rand(1, device="cpu") * 99))))


def add_pooled_norm(net: Any) -> None:
    net.pointwise, net.group_norm = nn.Conv2d(WIDTH, WIDTH, 1), nn.GroupNorm(2, WIDTH)


def normalise_pooled(net: Any, x: Tensor) -> Tensor:
    return x * net.batch_norm(x.mean((2, 3)))[:, :, None, None]  # type: ignore[no-any-return]


def close_over(mean: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda x: x - mean


VALUES_DIFFER_MESSAGE = (
    "has other values each time the network is built, and no state dict holds it: write self.register_buffer("
)
ANSWERS_DIFFER_MESSAGE = "built again and given the same weights it answers otherwise"
NOT_A_PARAMETER_MESSAGE = "is to be trained, but is not a parameter of the network"
WRITES_MESSAGE = "writes into its images"
REFUSED: dict[str, tuple[Builder, str]] = {
    "DRAWN_BUFFER": (
        make_holding_builder(lambda net: net.register_buffer("noise", draw_tensor(), persistent=False)),
        f"'noise' {VALUES_DIFFER_MESSAGE}'noise', ",
    ),
    "DRAWN_PLAIN": (
        make_holding_builder(lambda net: setattr(net, "noise", draw_tensor())),
        f"'noise' {VALUES_DIFFER_MESSAGE}'noise', …, persistent=True",
    ),
    "DRAWN_LIST": (
        make_holding_builder(lambda net: setattr(net, "noises", [draw_tensor()])),
        f"'noises[0]' {VALUES_DIFFER_MESSAGE}",
    ),
    "DRAWN_NUMPY": (
        make_holding_builder(lambda net: setattr(net, "noise", {"a": draw_numpy_tensor()})),
        f"'noise['a']' {VALUES_DIFFER_MESSAGE}",
    ),
    "DRAWN_UNSEEDED": (
        make_holding_builder(lambda net: setattr(net, "noise", torch.tensor(np.random.default_rng().random(4)))),
        f"'noise' {VALUES_DIFFER_MESSAGE}",
    ),
    "DRAWN_SIZE": (
        make_holding_builder(lambda net: setattr(net, "sizes", torch.ones(random.randrange(1, 999)))),
        VALUES_DIFFER_MESSAGE,
    ),
    "DRAWN_FLOAT": (
        make_holding_builder(lambda net: setattr(net, "a", random.random()), lambda net, x: x * net.a),
        ANSWERS_DIFFER_MESSAGE,
    ),
    "DRAWN_ORDER": (
        make_holding_builder(
            lambda net: setattr(net, "a", [*np.random.permutation(WIDTH)]), lambda net, x: x[:, net.a]
        ),
        ANSWERS_DIFFER_MESSAGE,
    ),
    "DRAWN_BEHIND_A_ZERO": (
        make_holding_builder(add_gate, lambda net, x: x + net.gate * net.factor),
        ANSWERS_DIFFER_MESSAGE,
    ),
    "DRAWN_LAYERS": (
        make_holding_builder(add_layers, lambda net, x: net.more(x)),
        "has other tensors each time it is built",
    ),
    "HELD_TWICE": (
        make_holding_builder(lambda net: setattr(net, "taps", [net.conv1.bias]), lambda net, x: x + net.taps[0].sum()),
        ANSWERS_DIFFER_MESSAGE,
    ),
    "HELD_AS_DATA": (
        make_holding_builder(lambda net: setattr(net, "tap", net.norm.weight.data), lambda net, x: x * net.tap.sum()),
        ANSWERS_DIFFER_MESSAGE,
    ),
    "LAYERS_IN_A_LIST": (
        make_holding_builder(
            lambda net: setattr(net, "more", [nn.Conv2d(WIDTH, WIDTH, 1)]), lambda net, x: net.more[0](x)
        ),
        f"'more[0].weight' {NOT_A_PARAMETER_MESSAGE}",
    ),
    "COMPUTED_TOO_EARLY": (
        make_holding_builder(lambda net: setattr(net, "a", net.conv1.weight.exp()), lambda net, x: x * net.a.sum()),
        NOT_A_PARAMETER_MESSAGE,
    ),
    "LAZY": (
        make_holding_builder(lambda net: setattr(net, "more", nn.LazyConv2d(WIDTH, 1)), lambda net, x: net.more(x)),
        "has no size",
    ),
    "IN_A_CLOSURE": (
        make_holding_builder(lambda net: setattr(net, "shift", close_over(half_tensor())), lambda net, x: net.shift(x)),
        "can't be copied",
    ),
    "SUBTRACTS": (make_answering_builder(lambda net, x: x.sub_(0.5)), WRITES_MESSAGE),
    "INCREASES": (make_answering_builder(increase_in_place), WRITES_MESSAGE),
    "SETS": (make_answering_builder(zero_first_channel), WRITES_MESSAGE),
    "RECTIFIES": (make_answering_builder(lambda net, x: nn.functional.relu_(x)), WRITES_MESSAGE),
    "WRITES_INTO_A_VIEW": (
        make_answering_builder(lambda net, x: x[:, :, 1:].mul_(2).new_tensor(0) + x),
        WRITES_MESSAGE,
    ),
    "WRITES_BEHIND": (make_answering_builder(write_through_data), WRITES_MESSAGE),
    "WRITES_WHEN_IT_TRAINS": (
        make_answering_builder(lambda net, x: x.mul_(2) if net.training else x * 2),
        WRITES_MESSAGE,
    ),
    "TUPLE_WHEN_IT_TRAINS": (
        make_answering_builder(end=lambda net, y: (y, y) if net.training else y),
        "a tuple when it trains",
    ),
    "DICT_WHEN_IT_TRAINS": (
        make_answering_builder(end=lambda net, y: {"out": y} if net.training else y),
        "a dict when it trains",
    ),
    "SHAPE_WHEN_IT_TRAINS": (
        make_answering_builder(end=lambda net, y: y[:, None] if net.training else y),
        "a tensor of (2, 1, 10) when it trains",
    ),
    "FAILS_WHEN_IT_TRAINS": (
        make_answering_builder(end=fail_in_training),
        "fails when it trains: no such thing while training",
    ),
    "NO_GRADIENT": (
        make_answering_builder(end=lambda net, y: y.exp().add_(1)),
        "fails when it trains: one of the variables needed",
    ),
    "SQUEEZES": (
        make_answering_builder(end=lambda net, y: y.squeeze()),
        "of 1 images it makes a tensor of (10,) with one image",
    ),
    "NO_SINGLE_IMAGE": (
        make_holding_builder(
            lambda net: setattr(net, "batch_norm", nn.BatchNorm1d(WIDTH, track_running_stats=False)),
            normalise_pooled,
        ),
        "fails with one image: Expected more than 1 value per channel",
    ),
    "DOUBLE": (make_buffer_builder(torch.float64), "its buffer 'scale' is float64, a file holds float32"),
    "HALF": (make_buffer_builder(torch.float16), "its buffer 'scale' is float16, a file holds float32"),
    "BRAIN": (make_buffer_builder(torch.bfloat16), "its buffer 'scale' is bfloat16, a file holds float32"),
    "COMPLEX": (make_buffer_builder(torch.complex64), "its buffer 'scale' is complex64, a file holds float32"),
    "SHORT": (make_buffer_builder(torch.int16), "its buffer 'scale' is int16, a file holds float32"),
    "DOUBLE_PARAMETER": (
        make_holding_builder(
            lambda net: setattr(net, "scale", nn.Parameter(torch.ones(1, dtype=torch.float64))),
            lambda net, x: (x * net.scale).float(),
        ),
        "its parameter 'scale' is float64",
    ),
}
FINE: dict[str, Builder] = {
    "COUNTED": make_holding_builder(lambda net: setattr(net, "number", next(BUILD_COUNTER))),
    "SEEDED": make_holding_builder(
        lambda net: setattr(net, "a", torch.rand(WIDTH, 1, 1, generator=torch.Generator().manual_seed(1))),
        lambda net, x: x * net.a,
    ),
    "DRAWN_AND_KEPT": make_holding_builder(
        lambda net: net.register_buffer("a", draw_tensor()), lambda net, x: x * net.a
    ),
    "DROPS": make_holding_builder(
        lambda net: None, lambda net, x: nn.functional.dropout(x) * (random.random() if net.training else 1)
    ),
    "WRITES_INTO_A_COPY": make_answering_builder(lambda net, x: x.clone().sub_(0.5)),
    "WEIGHT_NORM": make_holding_builder(lambda net: nn.utils.weight_norm(net.conv2)),
    "WEIGHT_NORM_PARAMETRIZED": make_holding_builder(lambda net: nn.utils.parametrizations.weight_norm(net.conv2)),
    "WITHOUT_STATISTICS": make_holding_builder(
        lambda net: setattr(net, "norm", nn.BatchNorm2d(12, track_running_stats=False))
    ),
    "POOLED_NORM": make_holding_builder(
        add_pooled_norm, lambda net, x: x * net.group_norm(net.pointwise(x).mean((2, 3), True))
    ),
    "NO_VALUES": make_holding_builder(lambda net: setattr(net, "a", torch.full((3,), torch.nan))),
}
globals().update({name: made for name, (made, _) in REFUSED.items()} | FINE)
