"""What a recipe asks for: its optimiser and its learning-rate schedule."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


def build_optimizer(recipe: Mapping[str, Any], parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Return the recipe's optimiser over the trainable parameters, one group: weight decay is for all of them."""
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    lr, weight_decay = recipe["lr"], recipe["weight_decay"]
    if recipe["optimizer"] == "adamw":
        return torch.optim.AdamW(trainable, lr=lr, weight_decay=weight_decay)
    return torch.optim.SGD(trainable, lr=lr, momentum=recipe["momentum"], weight_decay=weight_decay)


@dataclass(frozen=True)
class LrSchedule:
    """The learning rate of each step: linear over `warmup_steps`, then constant or half a cosine down to 0."""

    name: str
    lr: float
    steps: int
    warmup_steps: int

    def compute_lr(self, step: int) -> float:
        """Return the learning rate of `step` (from 0)."""
        if step < self.warmup_steps:
            return self.lr * (step + 1) / self.warmup_steps
        if self.name == "constant":
            return self.lr
        cosine_steps = max(1, self.steps - self.warmup_steps)
        angle = math.pi * (step - self.warmup_steps) / cosine_steps
        return self.lr * 0.5 * (1 + math.cos(angle))


def build_lr_schedule(recipe: Mapping[str, Any], steps_per_epoch: int) -> LrSchedule:
    """Return the schedule over all epochs of the recipe; warm-up takes at most all steps but one."""
    steps = steps_per_epoch * recipe["epochs"]
    warmup_steps = min(round(recipe["warmup_epochs"] * steps_per_epoch), steps - 1)
    return LrSchedule(recipe["schedule"], recipe["lr"], steps, warmup_steps)
