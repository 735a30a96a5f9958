"""Schedules and optimisers of a recipe."""

from typing import Any

import pytest
import torch
from torch import nn

from convarium.tasks.optimizer import build_optimizer
from convarium.tasks.recipe import build_lr_schedule

RECIPE: dict[str, Any] = {"optimizer": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "schedule": "cosine"}


def rates(name: str, warmup: int, steps_per_epoch: int = 4, epochs: int = 3) -> list[float]:
    recipe = {"schedule": name, "lr": 0.1, "epochs": epochs, "warmup_epochs": warmup}
    schedule = build_lr_schedule(recipe, steps_per_epoch)
    return [schedule.compute_lr(step) for step in range(steps_per_epoch * epochs)]


def test_constant_stays() -> None:
    assert rates("constant", 0) == [0.1] * 12


def test_cosine_falls_at_every_step_to_nearly_nothing() -> None:
    values = rates("cosine", 0)
    assert values[0] == 0.1
    assert values[6] == pytest.approx(0.05)
    assert values == sorted(values, reverse=True)
    assert 0 < values[-1] < 0.002


def test_warmup_rises_evenly_to_the_full_rate() -> None:
    assert rates("cosine", 1)[:5] == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1])
    assert rates("constant", 9)[-1] == 0.1


def test_frozen_parameters_are_not_the_optimisers() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    network[0].requires_grad_(False)
    (group,) = build_optimizer(RECIPE, network).param_groups
    assert [id(parameter) for parameter in group["params"]] == [id(p) for p in network[1].parameters()]
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.1, 0.9, 0.1)
    assert isinstance(build_optimizer({**RECIPE, "optimizer": "adamw"}, network), torch.optim.Adam)
