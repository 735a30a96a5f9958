"""Networks as an outside package might bring them: small, each odd in one way."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from convarium.architectures.kwargs import Builder

WIDTH = 8
Make = Callable[[], Any]
Use = Callable[[Any, Tensor], Tensor]


class Net(nn.Module):
    """Two convolutions and a classifier; `held` is its attribute, which `use` reads between the two."""

    held: Any

    def __init__(self, in_chans: int, num_classes: int, make: Make, use: Use) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_chans, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv2d(WIDTH, 12, 3, padding=1)
        self.fc = nn.Linear(12, num_classes)
        self.held = make()
        self.use = use

    def forward(self, x: Tensor) -> Tensor:
        x = self.use(self.held, self.conv1(x).relu())
        return self.fc(self.conv2(x).relu().mean((2, 3)))  # type: ignore[no-any-return]


def described(name: str) -> dict[str, Any]:
    """The architecture `name` of this file, for images of 1x8x8 and 10 classes."""
    sizes = {"in_chans": 1, "num_classes": 10, "img_size": 8}
    return {"source": "own", "name": f"odd_networks:{name}", "stem": "native", "kwargs": {}, **sizes}


def header(name: str) -> dict[str, Any]:
    """The header of a file with the architecture `name`."""
    given = {"shape": [1, 8, 8], "mean": [0.0], "std": [1.0]}
    return {
        "architecture": described(name), "task": "classification", "classes": 10, "input": given, "surgery": [],
    }  # fmt: skip


def half() -> Tensor:
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
        self.mean = half()

    def apply(self, x: Tensor) -> Tensor:
        return x - self.mean


class Buffer(nn.Module):
    held: Tensor

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("held", value, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x - self.held


CONSTANTS: dict[str, tuple[Make, Use]] = {
    "PLAIN": (half, lambda held, x: x - held),
    "LIST": (lambda: [half(), half()], lambda held, x: x - held[0] - held[1]),
    "DICT": (lambda: {"mean": {"deep": half()}}, lambda held, x: x - held["mean"]["deep"]),
    "TUPLE": (lambda: (half(), [half()]), lambda held, x: x - held[0] - held[1][0]),
    "NAMED": (lambda: Statistics(half(), half()), lambda held, x: (x - held.mean) / held.std),
    "FROZEN": (lambda: Frozen(half(), {"a": [half()]}), lambda held, x: x - held.mean - held.further["a"][0]),
    "SLOTTED": (lambda: Slotted(half()), lambda held, x: x - held.mean),
    "OBJECT": (lambda: SimpleNamespace(inner=Shift()), lambda held, x: held.inner.apply(x)),
    "METHOD": (lambda: Shift().apply, lambda held, x: held(x)),
    "PARTIAL": (lambda: partial(torch.sub, other=half()), lambda held, x: held(x)),
    "MATRIX": (lambda: torch.eye(WIDTH), lambda held, x: torch.einsum("nchw,cd->ndhw", x, held)),
    "NUMPY": (lambda: torch.from_numpy(np.full((WIDTH, 1, 1), 0.5, np.float32)), lambda held, x: x - held),
    "BUFFER": (lambda: Buffer(half()), lambda held, x: held(x)),
    "NUMPY_BUFFER": (lambda: Buffer(torch.from_numpy(np.ones((WIDTH, 1, 1), np.float32))), lambda held, x: held(x)),
    "WHOLE": (lambda: {"order": torch.arange(WIDTH).flip(0)}, lambda held, x: x[:, held["order"]]),
}


def builder(make: Make, use: Use) -> Builder:
    return Builder(lambda in_chans, num_classes, img_size: Net(in_chans, num_classes, make, use), {})


globals().update({name: builder(make, use) for name, (make, use) in CONSTANTS.items()})
