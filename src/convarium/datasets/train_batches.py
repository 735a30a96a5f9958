"""Training batches sliced from images in memory and augmented whole, without worker processes.

What Lightning sees as a batch is a chunk of many optimiser steps, so that its cost for each step vanishes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from convarium.datasets.augment import Augmentation
from convarium.datasets.splits import LabelledImages, Splits
from convarium.seeds import derive_seed

STEPS_PER_CHUNK = 50  # optimiser steps


@dataclass(frozen=True)
class BatchSampler:
    """The order of the images in an epoch: a permutation drawn from (seed, epoch) alone, so that a fit can resume."""

    image_count: int
    batch_size: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in an epoch; the last may be short, but one image left over is left out."""
        full_batches, rest = divmod(self.image_count, self.batch_size)
        has_short_batch = rest > 1  # batch normalisation has no statistics of a single image
        return max(1, full_batches + has_short_batch)

    def list_batches(self, epoch: int) -> list[Tensor]:
        """Return the image indices of each batch of `epoch`."""
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "order", epoch))
        order = torch.randperm(self.image_count, generator=generator)
        starts = [step * self.batch_size for step in range(self.steps_per_epoch)]
        return [order[start : start + self.batch_size] for start in starts]


class BatchChunk:
    """Consecutive steps of one epoch.

    Not a dataclass: Lightning would walk through its fields to move tensors.

    Attributes:
        data: all training images.
        indices: those of each step's images, int64.
        steps_done: of the epoch, after this chunk.
        is_last: whether these are all.
        first_step: number of the first step, counted from the beginning of the fit.
        augmentation: what is done to the images of each batch.
    """

    def __init__(
        self, data: LabelledImages, batches: list[Tensor], epoch: int, start: int, augmentation: Augmentation
    ) -> None:
        self.data = data
        self.indices = batches[start : start + STEPS_PER_CHUNK]
        self.epoch = epoch
        self.steps_done = start + len(self.indices)
        self.is_last = self.steps_done == len(batches)
        self.first_step = epoch * len(batches) + start
        self.augmentation = augmentation

    def load_batch(self, position: int) -> tuple[Tensor, Tensor]:
        """Return images and labels of a step; augmentation draws from torch's global random state."""
        indices = self.indices[position].to(self.data.labels.device)
        images = self.augmentation.augment_batch(self.data.images[indices])
        return images, self.data.labels[indices]


class ChunkLoader:
    """The chunks of an epoch, of the first one from its step `step` on; each iteration is the next epoch.

    It has no length: Lightning takes the first epoch's for that of all.
    """

    def __init__(
        self, data: LabelledImages, sampler: BatchSampler, augmentation: Augmentation, epoch: int, step: int = 0
    ) -> None:
        self.data = data
        self.sampler = sampler
        self.augmentation = augmentation
        self.next_epoch, self.next_step = epoch, step

    def __iter__(self) -> Iterator[BatchChunk]:
        epoch, first_step = self.next_epoch, self.next_step
        self.next_epoch, self.next_step = epoch + 1, 0
        batches = self.sampler.list_batches(epoch)
        for start in range(first_step, len(batches), STEPS_PER_CHUNK):
            yield BatchChunk(self.data, batches, epoch, start, self.augmentation)


class TrainDataModule(LightningDataModule):
    """The training images on the trainer's device, in batches from step `first_step` of epoch `first_epoch` on."""

    def __init__(
        self, splits: Splits, sampler: BatchSampler, recipe: Mapping[str, Any], first_epoch: int, first_step: int
    ) -> None:
        super().__init__()
        self.splits = splits
        self.sampler = sampler
        self.recipe = recipe
        self.first_epoch, self.first_step = first_epoch, first_step

    def train_dataloader(self) -> ChunkLoader:
        """Return the loader of the epochs to come."""
        assert self.trainer is not None
        assert self.splits.train is not None
        device = self.trainer.strategy.root_device
        mean = torch.tensor(self.splits.mean, device=device)
        std = torch.tensor(self.splits.std, device=device)
        images = self.splits.train.to(device)
        augmentation = Augmentation(self.recipe, mean, std)
        return ChunkLoader(images, self.sampler, augmentation, self.first_epoch, self.first_step)
