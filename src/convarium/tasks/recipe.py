"""The course of a recipe's learning rate over a fit."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class LrSchedule:
    """The learning rate of each step: linear over `warmup_steps`, then the course that `name` says.

    Constant; half a cosine down to 0; as torch's StepLR, MultiStepLR, ExponentialLR and OneCycleLR (without its cycle
    of the momentum). All but the cosine count from the first step, the warm-up is within.

    Attributes:
        name: of the course.
        lr: the highest rate.
        steps: of the whole fit.
        warmup_steps: fewer than `steps`.
        steps_per_epoch: what an epoch is to the courses that go by epochs.
        kwargs: of the course, as `config.recipe.SCHEDULE_KWARGS` has them.
    """

    name: str
    lr: float
    steps: int
    warmup_steps: int
    steps_per_epoch: int = 1
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def compute_lr(self, step: int) -> float:
        """Return the learning rate of `step` (from 0)."""
        if step < self.warmup_steps:
            return self.lr * (step + 1) / self.warmup_steps
        return self.lr * self._compute_factor(step)

    def _compute_factor(self, step: int) -> float:
        if self.name == "cosine":
            cosine_steps = max(1, self.steps - self.warmup_steps)
            return _fall_by_cosine((step - self.warmup_steps) / cosine_steps)
        if self.name == "step":
            return float(self.kwargs["gamma"] ** (step // self.steps_per_epoch // self.kwargs["step_size"]))
        if self.name == "multistep":
            return float(self.kwargs["gamma"] ** self._count_milestones(step))
        if self.name == "exponential":
            return float(self.kwargs["gamma"] ** (step // self.steps_per_epoch))
        if self.name == "one_cycle":
            return self._compute_cycle(step)
        return 1.0

    def _count_milestones(self, step: int) -> int:
        """Return how many milestones lie behind: those below 1 are shares of the fit, others epochs."""
        count = 0
        for milestone in self.kwargs["milestones"]:
            unit = self.steps if milestone < 1 else self.steps_per_epoch
            count += step >= milestone * unit
        return count

    def _compute_cycle(self, step: int) -> float:
        """Return the share of the highest rate in a cycle (Smith and Topin 2018; both ways by a cosine, as torch's)."""
        first: float = 1 / self.kwargs["div_factor"]
        last: float = first / self.kwargs["final_div_factor"]
        top_step: float = self.kwargs["pct_start"] * self.steps - 1
        if step <= top_step:
            return 1 + (first - 1) * _fall_by_cosine(step / top_step if top_step else 1.0)
        return last + (1 - last) * _fall_by_cosine((step - top_step) / (self.steps - 1 - top_step))


def _fall_by_cosine(progress: float) -> float:
    """Return 1 at the beginning and 0 at the end of half a cosine; progress is in 0..1."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def build_lr_schedule(recipe: Mapping[str, Any], steps_per_epoch: int) -> LrSchedule:
    """Return the schedule over all epochs of the recipe; warm-up takes at most all steps but one."""
    steps = steps_per_epoch * recipe["epochs"]
    warmup_steps = min(round(recipe["warmup_epochs"] * steps_per_epoch), steps - 1)
    return LrSchedule(
        recipe["schedule"], recipe["lr"], steps, warmup_steps, steps_per_epoch, recipe.get("schedule_kwargs", {})
    )
