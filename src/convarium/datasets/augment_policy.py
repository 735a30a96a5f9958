"""Policies of operations on colours and geometry: RandAugment and TrivialAugment, with draws for each image.

The transforms of torchvision draw once for a whole batch, so only their kernels are used. As published they work on
pixels of 8 bits.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

BINS = 31  # strengths, from none to the strongest
WHITE = 255


@dataclass(frozen=True)
class Operation:
    """A change of images at some strength.

    Attributes:
        apply: takes uint8 (N, C, H, W), C being 1 or 3, and the strength; one that has none is given 0.
        strengths: by bin; None where there is only one.
        is_signed: whether it goes both ways, each with probability 1/2.
    """

    apply: Callable[[Tensor, float], Tensor]
    strengths: tuple[float, ...] | None = None
    is_signed: bool = False


def apply_policy(images: Tensor, recipe: Mapping[str, Any], mean: Tensor, std: Tensor) -> Tensor:
    """Apply the recipe's policy to normalised images (N, C, H, W), C being 1 or 3.

    rand_augment: `policy_ops` operations one after the other at strength `policy_magnitude` of 0..30 (Cubuk et al.
    2020). trivial_augment: one operation at a strength drawn from all (Müller and Hutter 2021, its wide space).
    Operations and their ranges are torchvision's. On grey images the operation on colours does nothing.
    """
    mean, std = mean.reshape(1, -1, 1, 1), std.reshape(1, -1, 1, 1)
    pixels = images.mul(std).add_(mean).mul_(WHITE).round_().clamp_(0, WHITE).to(torch.uint8)
    if recipe["policy"] == "rand_augment":
        operations = list_rand_augment_operations(images.shape[-1])
        for _ in range(recipe["policy_ops"]):
            bins = torch.full((len(images),), recipe["policy_magnitude"])
            pixels = apply_drawn_operations(pixels, operations, bins)
    else:
        bins = torch.randint(BINS, (len(images),))
        pixels = apply_drawn_operations(pixels, list_trivial_augment_operations(), bins)
    return pixels.to(images.dtype).div_(WHITE).sub_(mean).div_(std)


def apply_drawn_operations(pixels: Tensor, operations: tuple[Operation, ...], bins: Tensor) -> Tensor:
    """Apply to each image an operation and a sign that are drawn for it; images with equal draws go together.

    Args:
        bins: of each image's strength, int64 (N,).
    """
    chosen = torch.randint(len(operations), (len(pixels),)).tolist()
    signs = torch.where(torch.rand(len(pixels)) <= 0.5, -1, 1).tolist()
    groups: dict[tuple[int, float], list[int]] = defaultdict(list)
    for position, (index, strength_bin, sign) in enumerate(zip(chosen, bins.tolist(), signs, strict=True)):
        strength = _find_strength(operations[index], strength_bin, sign)
        groups[index, strength].append(position)
    result = pixels.clone()
    for (index, strength), positions in groups.items():
        members = torch.tensor(positions, device=pixels.device)
        result[members] = operations[index].apply(pixels[members], strength)
    return result


def _find_strength(operation: Operation, strength_bin: int, sign: int) -> float:
    if operation.strengths is None:
        return 0.0
    strength = operation.strengths[strength_bin]
    return strength * sign if operation.is_signed else strength


def list_rand_augment_operations(side: int) -> tuple[Operation, ...]:
    """Return the operations of RandAugment on images of `side` pixels."""
    geometric = _list_geometric_operations(shear=0.3, shift=150 / 331 * side, degrees=30.0)
    return (Operation(_keep), *geometric, *_list_colour_operations(largest_change=0.9, bits_lost=4))


def list_trivial_augment_operations() -> tuple[Operation, ...]:
    """Return the operations of TrivialAugment's wide space."""
    geometric = _list_geometric_operations(shear=0.99, shift=32.0, degrees=135.0)
    return (Operation(_keep), *geometric, *_list_colour_operations(largest_change=0.99, bits_lost=6))


def _list_geometric_operations(shear: float, shift: float, degrees: float) -> tuple[Operation, ...]:
    """Return shears (of up to `shear` pixels a pixel), shifts (of up to `shift` pixels) and the rotation."""
    shears, shifts = _space_evenly(shear), _space_evenly(shift)
    return (
        Operation(_shear_horizontally, shears, is_signed=True),
        Operation(_shear_vertically, shears, is_signed=True),
        Operation(_shift_horizontally, shifts, is_signed=True),
        Operation(_shift_vertically, shifts, is_signed=True),
        Operation(functional.rotate_image, _space_evenly(degrees), is_signed=True),
    )


def _list_colour_operations(largest_change: float, bits_lost: int) -> tuple[Operation, ...]:
    changes = _space_evenly(largest_change)
    bits = (8 - torch.arange(BINS) / ((BINS - 1) / bits_lost)).round().tolist()
    thresholds = tuple(reversed(_space_evenly(1.0)))
    return (
        Operation(lambda pixels, change: functional.adjust_brightness_image(pixels, 1 + change), changes, True),
        Operation(lambda pixels, change: functional.adjust_saturation_image(pixels, 1 + change), changes, True),
        Operation(lambda pixels, change: functional.adjust_contrast_image(pixels, 1 + change), changes, True),
        Operation(lambda pixels, change: functional.adjust_sharpness_image(pixels, 1 + change), changes, True),
        Operation(lambda pixels, kept: functional.posterize_image(pixels, int(kept)), tuple(bits)),
        Operation(lambda pixels, share: functional.solarize_image(pixels, share * WHITE), thresholds),
        Operation(lambda pixels, _: functional.autocontrast_image(pixels)),
        Operation(lambda pixels, _: functional.equalize_image(pixels)),
    )


def _space_evenly(largest: float) -> tuple[float, ...]:
    return tuple(torch.linspace(0.0, largest, BINS).tolist())


def _keep(pixels: Tensor, _: float) -> Tensor:
    return pixels


def _shear_horizontally(pixels: Tensor, slope: float) -> Tensor:
    return _transform(pixels, shear=[math.degrees(math.atan(slope)), 0.0], center=[0, 0])


def _shear_vertically(pixels: Tensor, slope: float) -> Tensor:
    return _transform(pixels, shear=[0.0, math.degrees(math.atan(slope))], center=[0, 0])


def _shift_horizontally(pixels: Tensor, distance: float) -> Tensor:
    return _transform(pixels, translate=[int(distance), 0])


def _shift_vertically(pixels: Tensor, distance: float) -> Tensor:
    return _transform(pixels, translate=[0, int(distance)])


def _transform(
    pixels: Tensor,
    translate: list[float] | None = None,
    shear: list[float] | None = None,
    center: list[float] | None = None,
) -> Tensor:
    moved: Tensor = functional.affine_image(
        pixels, angle=0.0, translate=translate or [0, 0], scale=1.0, shear=shear or [0.0, 0.0], center=center
    )
    return moved
