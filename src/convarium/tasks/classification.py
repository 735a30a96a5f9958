"""Image classification: cross-entropy, accuracy."""

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn import functional

from convarium.architectures.condensing import Condensing
from convarium.architectures.loose_tensors import move
from convarium.datasets.memory import Chunk
from convarium.datasets.splits import Tensors
from convarium.errors import StageFailed
from convarium.seeds import stream
from convarium.tasks.batch import Batch, Term
from convarium.tasks.evaluate import evaluate
from convarium.tasks.recipe import Schedule


class Classification(LightningModule):
    """Trains a network on chunks of batches with manual optimisation, and looks at validation after each epoch.

    At every step the learning rate and torch's random state are set from the step's number, so a step depends on
    nothing but weights, optimiser state and its number.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: Mapping[str, Any],
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        seed: int,
        validation: Tensors | None,
        terms: Sequence[Term],
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network, self.recipe, self.optimizer, self.schedule = network, recipe, optimizer, schedule
        self.seed, self.validation, self.terms = seed, validation, tuple(terms)
        self.advance = network.advance if isinstance(network, Condensing) else None

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimiser made before (its state may come from a checkpoint)."""
        return self.optimizer

    def on_train_epoch_start(self) -> None:
        """Start the epoch's sums; Lightning has moved parameters and buffers only."""
        move(self.network, self.device)
        self.began, self.total, self.images = time.perf_counter(), 0.0, 0
        self.network.train()

    def training_step(self, chunk: Chunk, index: int) -> None:
        """Take all steps of a chunk."""
        total = torch.zeros((), device=self.device)
        for position in range(len(chunk.indices)):
            total += self.step(chunk, position)
        self.total += float(total)
        self.images += sum(map(len, chunk.indices))
        if not math.isfinite(self.total):
            self._stop(chunk)

    def step(self, chunk: Chunk, position: int) -> Tensor:
        """Take one optimiser step; return the summed loss of its images."""
        step = chunk.first_step + position
        self.reseed(stream(self.seed, "step", step))
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.at(step)
        if self.advance is not None:
            self.advance(step / self.schedule.steps)
        images, labels = chunk.batch(position)
        loss = self.loss(images, labels, chunk.indices[position])
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if self.recipe["gradient_clip"] is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe["gradient_clip"])
        self.optimizer.step()
        return loss.detach() * len(labels)

    def reseed(self, seed: int) -> None:
        """Set the random state that this step draws from; on the CPU without a tenth of a millisecond of ceremony."""
        if self.device.type == "cpu":
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)

    def loss(self, images: Tensor, labels: Tensor, indices: Tensor) -> Tensor:
        """Return mean cross-entropy (label smoothing as the recipe says) plus the terms."""
        with self._precision():
            logits = self.network(images)
            loss = functional.cross_entropy(logits, labels, label_smoothing=self.recipe["label_smoothing"])
        if not self.terms:
            return loss
        batch = Batch(self.network, images, labels, indices, logits, loss)
        return sum((term(batch) for term in self.terms), start=loss)

    def validation_accuracy(self) -> float | None:
        """Return the accuracy on the validation images, None where there are none."""
        if self.validation is None:
            return None
        return evaluate(self.network, self.validation)[0].double().mean().item()

    def _precision(self) -> AbstractContextManager[Any]:
        if self.recipe["precision"] == "bf16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()

    def _stop(self, chunk: Chunk) -> None:
        what = "NaN" if math.isnan(self.total) else "infinite"
        first, last = chunk.first_step + 1, chunk.first_step + len(chunk.indices)
        raise StageFailed(
            f"loss became {what} in epoch {chunk.epoch + 1} (steps {first} to {last}):"
            f" lower the learning rate (now {self.schedule.lr:g})"
        )


classification = Classification
