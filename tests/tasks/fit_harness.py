"""What the tests of a fit train: small networks on images that a generator draws, and a fit that can be killed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from convarium.datasets.splits import LabelledImages, Splits
from convarium.tasks.batch import Term
from convarium.tasks.checkpoint import FitState, read_state
from convarium.tasks.fit import fit_network
from convarium.tasks.fit_job import FitJob
from convarium.tasks.ranks import Ranks
from convarium.workers.runtime import Runtime

RECIPE: dict[str, Any] = {
    "optimizer": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4, "schedule": "cosine", "warmup_epochs": 1,
    "batch_size": 16, "augmentation": "none", "label_smoothing": 0.0, "gradient_clip": None, "precision": "32",
    "early_stop": None, "final_weights": "last",
}  # fmt: skip
EPOCHS = 4


class KilledError(Exception):
    """Stands for the end of the process."""


class Scaled(nn.Module):
    """A parametrization with a tensor of its own shape, as Representations have."""

    def forward(self, values: Tensor) -> Tensor:
        return values * 2

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight / 2


def plain() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(144, 4)]
    return nn.Sequential(*layers)


def parametrized() -> nn.Module:
    network = plain()
    parametrize.register_parametrization(network[5], "weight", Scaled())  # type: ignore[index, arg-type]
    return network


def draw_splits() -> Splits:
    """Four classes of 8x8 images that differ by where they are bright."""
    generator = torch.Generator().manual_seed(2)

    def part(count: int, noise: float) -> LabelledImages:
        labels = torch.arange(count) % 4
        images = noise * torch.randn(count, 1, 8, 8, generator=generator)
        for index, label in enumerate(labels.tolist()):
            images[index, 0, 2 * label : 2 * label + 2] += 1
        return LabelledImages(images, labels)

    return Splits(part(120, 1.0), part(40, 2.0), None, (0.0,), (1.0,))


class Run:
    """Fits by a recipe of small changes and remembers what was reported."""

    def __init__(self, splits: Splits, checkpoint: Path, **changes: Any) -> None:
        self.splits, self.checkpoint, self.recipe = splits, checkpoint, {**RECIPE, **changes}
        self.reports: list[dict[str, Any]] = []

    def __call__(
        self,
        network: nn.Module,
        epochs: int = EPOCHS,
        terms: tuple[Term, ...] = (),
        check: Callable[[], None] = lambda: None,
        note_checkpoint: Callable[[], None] = lambda: None,
        is_told_to_leave: Callable[[], bool] = lambda: False,
        checkpoint_minutes: float | None = None,
        structure: dict[str, Any] | None = None,
        ranks: Ranks | None = None,
    ) -> nn.Module:
        job = FitJob({"name": "classification"}, self.checkpoint, structure or {}, seed=7, terms=terms)
        folder = self.checkpoint.parent
        runtime = Runtime(
            folder=folder, checkpoint_folder=folder, threads=1, accelerator="cpu", data_root=None,
            report=lambda **row: self.reports.append(row), check_lease=check, run_fresh=lambda *_: None,
            is_told_to_leave=is_told_to_leave, note_checkpoint=note_checkpoint, checkpoint_minutes=checkpoint_minutes,
            ranks=ranks,
        )  # fmt: skip
        fit_network(network, self.splits, {**self.recipe, "epochs": epochs}, job, runtime)
        return network


def equal(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


def leave_in_mid_epoch(run: Run, build: Callable[[], nn.Module], **arguments: Any) -> FitState:
    """Let a fit be told to leave once, during its second epoch; return the checkpoint that it leaves."""

    def is_told_to_leave() -> bool:
        return bool(run.reports)

    def leave() -> None:
        state = read_state(run.checkpoint)
        if state is not None and state.part.steps:
            raise KilledError

    with pytest.raises(KilledError):
        run(build(), is_told_to_leave=is_told_to_leave, note_checkpoint=leave, **arguments)
    state = read_state(run.checkpoint)
    assert state is not None
    return state


def kill_at(network: nn.Module, step: int) -> nn.Module:
    """Let the forward pass of training step `step` raise."""
    seen = [0]

    def count(module: nn.Module, inputs: object) -> None:
        seen[0] += module.training
        if module.training and seen[0] > step:
            raise KilledError

    network.register_forward_pre_hook(count)
    return network
