"""Augmentations that draw for each image: crops of photographs, erased boxes, policies on colours and geometry."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from convarium.datasets import augment_policy
from convarium.datasets.augment import Augmentation, erase_randomly
from convarium.datasets.random_boxes import draw_boxes
from convarium.datasets.resized_crop import crop_and_resize_randomly

MEAN, STD = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.25, 0.3])
SPACES = {
    "rand_augment": (v2.RandAugment(), augment_policy.list_rand_augment_operations(16)),
    "trivial_augment": (v2.TrivialAugmentWide(), augment_policy.list_trivial_augment_operations()),
}


def draw_pixels(count: int, channels: int = 3, side: int = 16) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randint(256, (count, channels, side, side), generator=generator, dtype=torch.uint8)


def normalise(pixels: Tensor) -> Tensor:
    channels = pixels.shape[1]
    mean, std = (values[:channels].reshape(1, -1, 1, 1) for values in (MEAN, STD))
    return (pixels.float() / 255 - mean) / std


def build(channels: int = 3, **recipe: Any) -> Augmentation:
    return Augmentation({"augmentation": "none", **recipe}, MEAN[:channels], STD[:channels])


def count_distinct(images: Tensor) -> int:
    return len({image.numpy().tobytes() for image in images.contiguous()})


@pytest.mark.parametrize(
    "recipe",
    [
        {"augmentation": "resized_crop_flip"},
        {"erasing": 1.0},
        {"policy": "rand_augment"},
        {"policy": "trivial_augment"},
    ],
    ids=["crops", "boxes", "rand_augment", "trivial_augment"],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_copies_of_an_image_in_one_batch_become_different_images(recipe: dict[str, Any], channels: int) -> None:
    images = normalise(draw_pixels(1, channels)).repeat(32, 1, 1, 1)
    torch.manual_seed(0)
    changed = build(channels, **recipe).augment_batch(images)
    assert changed.shape == images.shape
    assert changed.dtype == images.dtype
    assert changed.stride() == (256 * channels, 1, 16 * channels, channels)
    assert count_distinct(changed) > 15
    torch.manual_seed(0)
    assert torch.equal(build(channels, **recipe).augment_batch(images), changed)


def test_a_crop_is_a_box_of_the_image_at_the_image_s_size() -> None:
    ramp = torch.arange(16.0).repeat(200, 1, 16, 1)  # every pixel is its column's number
    torch.manual_seed(1)
    crops = crop_and_resize_randomly(ramp, 0.08)
    spans = crops[:, 0, 0, -1] - crops[:, 0, 0, 0]
    assert crops.min() >= 0
    assert crops.max() <= 15
    assert spans.min() < 5  # a third of the side or less
    assert spans.max() > 12
    whole = crop_and_resize_randomly(ramp, 1.0)
    assert (whole[:, 0, 0, -1] - whole[:, 0, 0, 0]).min() > 11


def test_boxes_have_the_areas_and_shapes_that_were_asked_for() -> None:
    torch.manual_seed(0)
    boxes = draw_boxes(2000, 64, (0.08, 1.0), (3 / 4, 4 / 3), largest=64, fallback=64)
    area = (boxes.heights * boxes.widths).double() / 64**2
    shape = boxes.heights.double() / boxes.widths
    assert 0.06 < area.min() < 0.12
    assert area.max() > 0.9
    assert 0.7 < shape.min() < 0.8
    assert 1.25 < shape.max() < 1.43
    assert int((boxes.tops + boxes.heights).max()) == int((boxes.lefts + boxes.widths).max()) == 64
    assert int(boxes.tops.min()) == int(boxes.lefts.min()) == 0


def test_a_box_that_never_fits_is_the_fallback() -> None:
    boxes = draw_boxes(5, 8, (1.0, 1.0), (1.0, 1.0), largest=7, fallback=0)
    assert boxes.build_mask(8).sum() == 0


def test_erased_boxes_are_what_torchvision_erases_and_the_rest_stays() -> None:
    images = normalise(draw_pixels(400))
    torch.manual_seed(0)
    erased = erase_randomly(images, 0.5)
    is_erased = (erased == 0).all(1) & (images != 0).any(1)
    assert 140 < int(is_erased.any((1, 2)).sum()) < 260
    for image, result, mask in zip(images, erased, is_erased, strict=True):
        if not mask.any():
            assert torch.equal(image, result)
            continue
        rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
        top, left, height, width = int(rows[0]), int(columns[0]), len(rows), len(columns)
        assert torch.equal(functional.erase(image, top, left, height, width, torch.zeros(1)), result)
        assert 0.01 < height * width / 256 < 0.4


@pytest.mark.parametrize("policy", SPACES)
@pytest.mark.parametrize("channels", [1, 3])
def test_operations_are_those_of_torchvision_at_every_strength(policy: str, channels: int) -> None:
    transform, operations = SPACES[policy]
    pixels = draw_pixels(2, channels)
    assert len(operations) == len(transform._AUGMENTATION_SPACE)
    for operation, (name, (list_strengths, is_signed)) in zip(
        operations, transform._AUGMENTATION_SPACE.items(), strict=True
    ):
        strengths = list_strengths(31, 16, 16)
        assert operation.is_signed == is_signed, name
        assert (operation.strengths is None) == (strengths is None), name
        for place in (0, 9, 30) if strengths is not None else (0,):
            strength = 0.0 if strengths is None else float(strengths[place])
            expected = transform._apply_image_or_video_transform(
                pixels, name, strength, interpolation=v2.InterpolationMode.NEAREST, fill={}
            )
            ours = 0.0 if operation.strengths is None else operation.strengths[place]
            assert torch.equal(operation.apply(pixels, ours), expected), (name, place)


def test_images_that_draw_the_same_change_as_one_by_one() -> None:
    pixels, operations = draw_pixels(40), augment_policy.list_rand_augment_operations(16)
    bins = torch.full((40,), 9)
    torch.manual_seed(2)
    together = augment_policy.apply_drawn_operations(pixels, operations, bins)
    torch.manual_seed(2)
    chosen = torch.randint(len(operations), (40,)).tolist()
    signs = torch.where(torch.rand(40) <= 0.5, -1, 1).tolist()
    for place, (index, sign) in enumerate(zip(chosen, signs, strict=True)):
        operation = operations[index]
        strength = 0.0 if operation.strengths is None else operation.strengths[9]
        alone = operation.apply(pixels[place : place + 1], strength * (sign if operation.is_signed else 1))
        assert torch.equal(together[place : place + 1], alone)
    assert len(set(chosen)) > 8


def test_a_policy_sees_the_pixels_that_were_normalised_and_gives_them_back() -> None:
    images = normalise(draw_pixels(64))
    torch.manual_seed(0)
    recipe = {"policy": "rand_augment", "policy_ops": 1, "policy_magnitude": 0}
    changed = build(**recipe).augment_batch(images)
    # At no strength all operations leave the image as it is, but those that have none.
    is_same = [torch.allclose(one, other, atol=1e-5) for one, other in zip(images, changed, strict=True)]
    assert sum(is_same) > 45
    pixels = changed * STD.reshape(1, -1, 1, 1) + MEAN.reshape(1, -1, 1, 1)
    assert pixels.min() > -1e-5
    assert pixels.max() < 1 + 1e-5
