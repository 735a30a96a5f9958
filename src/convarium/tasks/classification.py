"""Image classification: training by cross-entropy, accuracy on the validation images."""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn import functional

from convarium.architectures.condensing import Condensing
from convarium.architectures.unsaved_tensors import move_network
from convarium.config.recipe import SMALLEST_PART
from convarium.datasets.mixing import Mixture, mix_batch
from convarium.datasets.splits import LabelledImages
from convarium.datasets.train_batches import BatchChunk
from convarium.errors import StageFailed
from convarium.seeds import derive_seed
from convarium.tasks.batch import Batch, Term
from convarium.tasks.evaluate import evaluate_network
from convarium.tasks.ranks import SINGLE, Ranks
from convarium.tasks.recipe import LrSchedule
from convarium.tasks.shared_statistics import SharedStatistics
from convarium.tasks.weight_average import WeightAverage


class Classification(LightningModule):
    """Training of a classifier on chunks of batches, with manual optimisation.

    At every step the learning rate and torch's random state are set from the step's number, so a step depends on
    nothing but weights, optimiser state and its number.

    Attributes:
        loss_sum: of the images of the epoch so far; who runs the epochs sets it and `image_count` at their beginning.
        image_count: how many these are.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: Mapping[str, Any],
        optimizer: torch.optim.Optimizer,
        schedule: LrSchedule,
        seed: int,
        validation: LabelledImages | None,
        terms: Sequence[Term],
        average: WeightAverage | None = None,
        ranks: Ranks = SINGLE,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network, self.recipe, self.optimizer, self.schedule = network, recipe, optimizer, schedule
        self.seed, self.validation, self.terms, self.average = seed, validation, tuple(terms), average
        self.ranks = ranks
        self.loss_sum, self.image_count = 0.0, 0
        self.drop_due_connections = network.drop_due_connections if isinstance(network, Condensing) else None

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimiser made before (its state may come from a checkpoint)."""
        return self.optimizer

    def on_train_epoch_start(self) -> None:
        """Set the network to train."""
        move_network(self.network, self.device)  # Lightning has moved parameters and buffers only
        if self.average is not None:
            self.average.collect_tensors()
        self.network.train()

    def training_step(self, chunk: BatchChunk, index: int) -> None:
        """Take all steps of a chunk."""
        # Summed on the device: every look at a loss from here would wait for the step to end.
        chunk_loss = torch.zeros((), device=self.device)
        for position in range(len(chunk.indices)):
            chunk_loss += self.train_batch(chunk, position)
        self.loss_sum += self.ranks.sum_value(float(chunk_loss))
        self.image_count += sum(len(indices) for indices in chunk.indices)
        if not math.isfinite(self.loss_sum):
            self._raise_diverged(chunk)

    def train_batch(self, chunk: BatchChunk, position: int) -> Tensor:
        """Take one optimiser step; return the summed loss of this rank's images."""
        step = chunk.first_step + position
        self.reseed(derive_seed(self.seed, "step", step))
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.compute_lr(step)
        if self.drop_due_connections is not None:
            self.drop_due_connections(step / self.schedule.steps)
        self.optimizer.zero_grad()
        loss_sum = self.accumulate_gradients(chunk, position)
        self.ranks.sum_gradients(self.network.parameters())
        max_norm = self.recipe["gradient_clip"]
        if max_norm is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), max_norm)
        self.optimizer.step()
        if self.average is not None:
            self.average.update(step)
        return loss_sum

    def accumulate_gradients(self, chunk: BatchChunk, position: int) -> Tensor:
        """Add up the gradients of a batch's parts, as many as the recipe says; return the summed loss of its images.

        Whole batches are augmented and mixed, so that images are the same in however many parts and by however many
        ranks they are trained. A batch that is too small to be shared is each rank's, which then counts by its part.
        """
        images, labels = chunk.load_batch(position)
        indices, mixture = chunk.indices[position], None
        if self.recipe["mixup"] or self.recipe["cutmix"]:
            images, mixture = mix_batch(images, labels, self.recipe["mixup"], self.recipe["cutmix"])
        loss_sum = torch.zeros((), device=self.device)
        parts = split_batch(len(labels), self.recipe["accumulate"])
        is_shared = self.ranks.can_share(parts)
        if is_shared:
            self.reseed(derive_seed(self.seed, "step", chunk.first_step + position, "rank", self.ranks.rank))
            parts = [self.ranks.select_share(part) for part in parts]
        copies = 1 if is_shared else self.ranks.count
        for part in parts:
            part_mixture = None if mixture is None else mixture.select(part)
            with SharedStatistics() if is_shared else nullcontext():
                loss = self.compute_loss(images[part], labels[part], indices[part], part_mixture)
            part_size = (part.stop - part.start) / copies
            (loss * (part_size / len(labels))).backward()
            loss_sum += loss.detach() * part_size
        return loss_sum

    def reseed(self, seed: int) -> None:
        """Set the random state that this step draws from."""
        if self.device.type == "cpu":
            # torch.manual_seed seeds every device's state, which takes a tenth of a millisecond at each step.
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)

    def compute_loss(self, images: Tensor, labels: Tensor, indices: Tensor, mixture: Mixture | None) -> Tensor:
        """Return the mean cross-entropy of a batch (label smoothing as the recipe says) plus the terms, a scalar.

        Args:
            images: (N, C, H, W), normalised and augmented.
            labels: int64 (N,).
            indices: places of the images among all training images, int64 (N,).
            mixture: what the images were mixed with; None where they were not.
        """
        with self._autocast():
            logits = self.network(images)
            targets = labels if mixture is None else mixture.build_targets(labels, logits.shape[1])
            loss = functional.cross_entropy(logits, targets, label_smoothing=self.recipe["label_smoothing"])
        if not self.terms:
            return loss
        batch = Batch(self.network, images, targets, indices, logits, loss)
        return sum((term(batch) for term in self.terms), start=loss)

    def measure_validation_accuracy(self) -> float | None:
        """Return the accuracy on the validation images (None without), of averaged weights where there are any."""
        if self.validation is None:
            return None
        with nullcontext() if self.average is None else self.average.swap_in():
            is_correct, _ = evaluate_network(self.network, self.validation)
        return is_correct.double().mean().item()

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.recipe["precision"] == "bf16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()

    def _raise_diverged(self, chunk: BatchChunk) -> None:
        value = "NaN" if math.isnan(self.loss_sum) else "infinite"
        first, last = chunk.first_step + 1, chunk.first_step + len(chunk.indices)
        raise StageFailed(
            f"loss became {value} in epoch {chunk.epoch + 1} (steps {first} to {last}):"
            f" lower the learning rate (now {self.schedule.lr:g})",
            cause="nan",
        )


def split_batch(count: int, parts: int) -> list[slice]:
    """Return the parts of a batch, of nearly equal size and of at least two images each."""
    parts = max(1, min(parts, count // SMALLEST_PART))
    bounds = [count * part // parts for part in range(parts + 1)]
    return [slice(start, stop) for start, stop in pairwise(bounds)]


classification = Classification
