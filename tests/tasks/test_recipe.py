"""Schedules of a recipe: torch's where they have torch's names."""

from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from convarium.tasks.recipe import LrSchedule, build_lr_schedule


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


STEPS_PER_EPOCH, EPOCHS = 4, 6


@pytest.mark.parametrize(
    ("name", "kwargs", "build"),
    [
        ("step", {"step_size": 2, "gamma": 0.3}, lambda sgd: lr_scheduler.StepLR(sgd, 2, 0.3)),
        ("multistep", {"milestones": [1.0, 4.0], "gamma": 0.3}, lambda sgd: lr_scheduler.MultiStepLR(sgd, [1, 4], 0.3)),
        ("multistep", {"milestones": [0.5], "gamma": 0.3}, lambda sgd: lr_scheduler.MultiStepLR(sgd, [3], 0.3)),
        ("exponential", {"gamma": 0.8}, lambda sgd: lr_scheduler.ExponentialLR(sgd, 0.8)),
    ],
    ids=["step", "multistep", "a share of all epochs", "exponential"],
)
def test_a_schedule_by_epochs_is_the_one_of_torch(name: str, kwargs: dict[str, Any], build: Any) -> None:
    scheduler = build(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1))
    expected = []
    for _ in range(EPOCHS):
        expected += scheduler.get_last_lr() * STEPS_PER_EPOCH
        scheduler.optimizer.step()
        scheduler.step()
    assert len(set(expected)) > 1
    assert list_rates(name, kwargs) == pytest.approx(expected)


@pytest.mark.parametrize("pct_start", [0.3, 0.5, 1.0])
def test_one_cycle_is_the_one_of_torch(pct_start: float) -> None:
    steps = STEPS_PER_EPOCH * EPOCHS
    sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler = lr_scheduler.OneCycleLR(sgd, 0.1, steps, pct_start=pct_start, cycle_momentum=False)
    expected = []
    for _ in range(steps):
        expected += scheduler.get_last_lr()
        sgd.step()
        if len(expected) < steps:
            scheduler.step()
    kwargs = {"pct_start": pct_start, "div_factor": 25.0, "final_div_factor": 1e4}
    assert list_rates("one_cycle", kwargs) == pytest.approx(expected)


@pytest.mark.parametrize("steps", [1, 2, 3, 10])
def test_one_cycle_lasts_as_long_as_a_fit_however_short(steps: int) -> None:
    kwargs = {"pct_start": 0.3, "div_factor": 25.0, "final_div_factor": 1e4}
    values = [LrSchedule("one_cycle", 0.1, steps, 0, 1, kwargs).compute_lr(step) for step in range(steps)]
    assert all(0 < value <= 0.1 for value in values)
    assert values[-1] == min(values)


def list_rates(name: str, kwargs: dict[str, Any]) -> list[float]:
    recipe = {"schedule": name, "lr": 0.1, "epochs": EPOCHS, "warmup_epochs": 0, "schedule_kwargs": kwargs}
    schedule = build_lr_schedule(recipe, STEPS_PER_EPOCH)
    return [schedule.compute_lr(step) for step in range(STEPS_PER_EPOCH * EPOCHS)]


def test_warmup_is_within_the_epochs_that_milestones_count() -> None:
    recipe = {
        "schedule": "step",
        "lr": 0.1,
        "epochs": 3,
        "warmup_epochs": 1,
        "schedule_kwargs": {"step_size": 2, "gamma": 0.1},
    }
    schedule = build_lr_schedule(recipe, 2)
    assert [schedule.compute_lr(step) for step in range(6)] == pytest.approx([0.05, 0.1, 0.1, 0.1, 0.01, 0.01])
