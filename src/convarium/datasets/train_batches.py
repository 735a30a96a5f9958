"""Training batches of images in memory: an order an epoch, batches sliced and augmented whole, no worker processes.

Lightning sees one "batch" for many optimiser steps (a chunk), which takes its cost per step to nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from convarium.datasets.augment import augment_batch
from convarium.datasets.splits import LabelledImages, Splits
from convarium.seeds import derive_seed

STEPS_PER_CHUNK = 50


@dataclass(frozen=True)
class BatchSampler:
    """The order of an epoch: one permutation from (seed, epoch), the same whatever happened before."""

    image_count: int
    batch_size: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch; the last may be short, a last batch of one image (no batch statistics) is left out."""
        full, rest = divmod(self.image_count, self.batch_size)
        return max(1, full + (rest > 1))

    def list_batches(self, epoch: int) -> list[Tensor]:
        """Return the image indices of each batch of `epoch`."""
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "order", epoch))
        order = torch.randperm(self.image_count, generator=generator)
        return [order[step * self.batch_size : (step + 1) * self.batch_size] for step in range(self.steps_per_epoch)]


class BatchChunk:
    """A run of consecutive steps of one epoch (no dataclass: Lightning would walk through it to move tensors)."""

    def __init__(
        self, data: LabelledImages, indices: list[Tensor], epoch: int, first_step: int, augmentation: str, black: Tensor
    ) -> None:
        self.data, self.indices, self.epoch, self.first_step = data, indices, epoch, first_step
        self.augmentation, self.black = augmentation, black

    def load_batch(self, position: int) -> tuple[Tensor, Tensor]:
        """Return images and labels of a step; augmentation draws from torch's global random state."""
        chosen = self.indices[position].to(self.data.labels.device)
        images = augment_batch(self.data.images[chosen], self.augmentation, self.black)
        return images, self.data.labels[chosen]


class ChunkLoader:
    """What Lightning iterates once an epoch; yields chunks."""

    def __init__(
        self, data: LabelledImages, sampler: BatchSampler, augmentation: str, black: Tensor, epoch: int
    ) -> None:
        self.data, self.sampler, self.augmentation, self.black, self.next_epoch = (
            data,
            sampler,
            augmentation,
            black,
            epoch,
        )

    def __len__(self) -> int:
        return -(-self.sampler.steps_per_epoch // STEPS_PER_CHUNK)

    def __iter__(self) -> Iterator[BatchChunk]:
        epoch, self.next_epoch = self.next_epoch, self.next_epoch + 1
        batches, first = self.sampler.list_batches(epoch), epoch * self.sampler.steps_per_epoch
        for start in range(0, len(batches), STEPS_PER_CHUNK):
            part = batches[start : start + STEPS_PER_CHUNK]
            yield BatchChunk(self.data, part, epoch, first + start, self.augmentation, self.black)


class TrainDataModule(LightningDataModule):
    """The training part on the trainer's device, from `first_epoch` on."""

    def __init__(self, splits: Splits, sampler: BatchSampler, augmentation: str, first_epoch: int) -> None:
        super().__init__()
        self.splits, self.sampler, self.augmentation, self.first_epoch = splits, sampler, augmentation, first_epoch

    def train_dataloader(self) -> ChunkLoader:
        """Return the batches of all epochs to come."""
        assert self.trainer is not None
        assert self.splits.train is not None
        device = self.trainer.strategy.root_device
        black = -torch.tensor(self.splits.mean, device=device) / torch.tensor(self.splits.std, device=device)
        return ChunkLoader(self.splits.train.to(device), self.sampler, self.augmentation, black, self.first_epoch)
