"""Mixtures of images: shares of pixels are the shares of labels, drawn for each image."""

import pytest
import torch

from convarium.datasets.mixing import mix_batch

COUNT, SIDE = 300, 16
LABELS = torch.arange(COUNT) % 5
IMAGES = torch.arange(float(COUNT)).reshape(-1, 1, 1, 1).expand(COUNT, 3, SIDE, SIDE)  # an image is its own number


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def test_mixup_is_a_weighted_mean_with_a_weight_for_each_image() -> None:
    mixed, mixture = mix_batch(IMAGES, LABELS, mixup=0.4, cutmix=0.0)
    shares = mixture.shares.reshape(-1, 1, 1, 1)
    assert torch.allclose(mixed, shares * IMAGES + (1 - shares) * IMAGES.roll(1, 0), atol=1e-3)
    assert torch.equal(mixture.partner_labels, LABELS.roll(1))
    assert len(set(mixture.shares.tolist())) > 250
    assert mixture.shares.mean() == pytest.approx(0.5, abs=0.1)
    assert mixture.shares.var() == pytest.approx(0.25 / (2 * 0.4 + 1), abs=0.03)


def test_cutmix_takes_a_box_of_the_neighbour_and_its_share_of_the_label() -> None:
    mixed, mixture = mix_batch(IMAGES, LABELS, mixup=0.0, cutmix=1.0)
    is_own, is_other = mixed == IMAGES, mixed == IMAGES.roll(1, 0)
    assert bool((is_own | is_other).all())
    assert torch.allclose(is_own.float().mean((1, 2, 3)), mixture.shares)
    assert len({mask.numpy().tobytes() for mask in is_own}) > 200
    assert mixture.shares.min() < 0.3
    assert mixture.shares.max() > 0.95


def test_with_both_each_image_draws_one_of_them() -> None:
    mixed, _ = mix_batch(IMAGES, LABELS, mixup=5.0, cutmix=1.0)
    is_cut = ((mixed == IMAGES) | (mixed == IMAGES.roll(1, 0))).all(1).all(1).all(1)
    assert 100 < int(is_cut.sum()) < 200


def test_targets_hold_the_share_of_either_label() -> None:
    _, mixture = mix_batch(IMAGES, LABELS, mixup=1.0, cutmix=1.0)
    targets = mixture.build_targets(LABELS, 5)
    places = torch.arange(COUNT)
    assert torch.allclose(targets.sum(1), torch.ones(COUNT))
    assert torch.allclose(targets[places, LABELS], mixture.shares, atol=1e-6)
    assert torch.allclose(targets[places, mixture.partner_labels], 1 - mixture.shares, atol=1e-6)


def test_one_label_on_both_sides_stays_a_whole_label() -> None:
    labels = torch.full((COUNT,), 2)
    _, mixture = mix_batch(IMAGES, labels, mixup=1.0, cutmix=0.0)
    assert torch.equal(mixture.build_targets(labels, 3), torch.tensor([0.0, 0.0, 1.0]).repeat(COUNT, 1))


def test_a_part_of_a_batch_has_its_part_of_the_mixture() -> None:
    _, mixture = mix_batch(IMAGES, LABELS, mixup=1.0, cutmix=0.0)
    part = mixture.select(slice(10, 20))
    assert torch.equal(part.shares, mixture.shares[10:20])
    assert torch.equal(part.partner_labels, mixture.partner_labels[10:20])
