"""Batches of images in memory: the order of an epoch, and augmentation of whole batches."""

import pytest
import torch

from convarium.datasets.augment import Augmentation, crop_randomly, flip_randomly
from convarium.datasets.splits import LabelledImages, to_channels_last
from convarium.datasets.train_batches import STEPS_PER_CHUNK, BatchSampler, ChunkLoader


def build_augmentation(name: str, channels: int) -> Augmentation:
    return Augmentation({"augmentation": name}, torch.zeros(channels), torch.ones(channels))


def test_an_epoch_shows_every_image_once_in_an_order_of_its_own() -> None:
    sampler = BatchSampler(image_count=50, batch_size=16, seed=1)
    first, second = (torch.cat(sampler.list_batches(epoch)) for epoch in (0, 1))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(50))
    assert first.tolist() != second.tolist()
    assert [len(batch) for batch in sampler.list_batches(0)] == [16, 16, 16, 2]


def test_the_order_depends_on_seed_and_epoch_only() -> None:
    torch.manual_seed(9)
    first = torch.cat(BatchSampler(40, 8, seed=1).list_batches(3))
    torch.manual_seed(10)
    assert torch.equal(first, torch.cat(BatchSampler(40, 8, seed=1).list_batches(3)))
    assert not torch.equal(first, torch.cat(BatchSampler(40, 8, seed=2).list_batches(3)))


def test_a_last_batch_of_one_image_is_left_out() -> None:
    assert [len(batch) for batch in BatchSampler(33, 16, seed=0).list_batches(0)] == [16, 16]
    assert [len(batch) for batch in BatchSampler(1, 16, seed=0).list_batches(0)] == [1]


def test_chunks_number_the_steps_through_all_epochs() -> None:
    count = (STEPS_PER_CHUNK + 3) * 2
    data = LabelledImages(torch.zeros(count, 1, 2, 2), torch.arange(count))
    epochs = ChunkLoader(data, BatchSampler(count, 2, seed=0), build_augmentation("none", 1), epoch=1)
    chunks = [*epochs, *epochs]
    assert [(chunk.epoch, chunk.first_step, len(chunk.indices)) for chunk in chunks] == [
        (1, STEPS_PER_CHUNK + 3, STEPS_PER_CHUNK),
        (1, 2 * STEPS_PER_CHUNK + 3, 3),
        (2, 2 * STEPS_PER_CHUNK + 6, STEPS_PER_CHUNK),
        (2, 3 * STEPS_PER_CHUNK + 6, 3),
    ]
    assert torch.equal(chunks[0].load_batch(0)[1], chunks[0].indices[0])


def test_an_epoch_goes_on_at_any_step_and_the_next_is_whole() -> None:
    count = 2 * STEPS_PER_CHUNK
    data = LabelledImages(torch.zeros(count, 1, 2, 2), torch.arange(count))
    sampler = BatchSampler(count, 2, seed=0)
    epochs = ChunkLoader(data, sampler, build_augmentation("none", 1), epoch=1, step=STEPS_PER_CHUNK - 7)
    chunks = [*epochs, *epochs]
    assert [(chunk.epoch, chunk.steps_done, len(chunk.indices)) for chunk in chunks] == [
        (1, STEPS_PER_CHUNK, 7),
        (2, STEPS_PER_CHUNK, STEPS_PER_CHUNK),
    ]
    assert all(map(torch.equal, chunks[0].indices, sampler.list_batches(1)[-7:]))


def test_crop_shifts_each_image_and_fills_with_black() -> None:
    images = torch.arange(1.0, 17).reshape(1, 1, 4, 4).repeat(200, 2, 1, 1)
    black = torch.tensor([-5.0, -6.0])
    result = crop_randomly(images, 1, black)
    canvas = black.reshape(1, 2, 1, 1).expand(1, 2, 6, 6).clone()
    canvas[:, :, 1:5, 1:5] = images[:1]
    allowed = [canvas[0, :, y : y + 4, x : x + 4] for y in range(3) for x in range(3)]
    found = {next(i for i, one in enumerate(allowed) if torch.equal(one, image)) for image in result}
    assert found == set(range(9))


def test_flip_mirrors_about_half_of_the_images() -> None:
    torch.manual_seed(0)
    images = torch.randn(400, 1, 3, 3)
    result = flip_randomly(images)
    mirrored = [torch.equal(a, b.flip(-1)) for a, b in zip(result, images, strict=True)]
    kept = [torch.equal(a, b) for a, b in zip(result, images, strict=True)]
    assert sum(mirrored) + sum(kept) == 400
    assert 150 < sum(mirrored) < 250


def test_augmentation_repeats_with_the_random_state_and_leaves_the_images_alone() -> None:
    images = torch.randn(8, 3, 8, 8)
    copy, results = images.clone(), []
    for _ in range(2):
        torch.manual_seed(4)
        results.append(build_augmentation("crop_flip", 3).augment_batch(images))
    assert torch.equal(*results)
    assert torch.equal(images, copy)
    assert build_augmentation("none", 3).augment_batch(images) is images


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_channels_last_in_memory_and_stay_so_in_batches(channels: int) -> None:
    images = torch.randn(10, channels, 8, 8)
    stored = to_channels_last(images)
    assert torch.equal(stored, images)
    for batch in (
        stored,
        stored[torch.tensor([3, 1, 2])],
        build_augmentation("crop_flip", channels).augment_batch(stored),
    ):
        assert batch.stride() == (64 * channels, 1, 8 * channels, channels)
