"""What a reader owes: checked where it comes in, so that a mistake of an outside one is a line and not a traceback."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from convarium.datasets.splits import Files, Pixels
from convarium.errors import UserError


def checked(read: Any, parts: tuple[str, ...], dataset: Mapping[str, Any]) -> Mapping[str, Pixels | Files]:
    """Return what a reader gave for `parts`.

    Raises:
        UserError: a part is missing, or its images or labels are of another type or shape, or a label is not a class.
    """
    owner = f"dataset {dataset['name']}"
    if not isinstance(read, Mapping) or not set(parts) <= set(read):
        raise UserError(f"{owner}: its reader must return a mapping with {', '.join(parts)}")
    for part in parts:
        if not isinstance(read[part], Pixels | Files):
            raise UserError(f"{owner}: {part} is {type(read[part]).__name__}, expected Pixels or Files")
        _check(read[part], dataset["classes"], f"{owner}: {part}")
    return read


def _check(part: Pixels | Files, classes: int, owner: str) -> None:
    count = len(part.images) if isinstance(part, Pixels) else len(part.paths)
    labels = part.labels
    if isinstance(part, Pixels) and not _are_images(part.images):
        raise UserError(f"{owner} has images {_told(part.images)}, expected uint8 (N, channels, side, side)")
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64 or labels.shape != (count,):
        raise UserError(f"{owner} has labels {_told(labels)}, expected int64 ({count},)")
    if not count:
        raise UserError(f"{owner} has no images")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise UserError(f"{owner} has labels {low}..{high}, expected 0..{classes - 1} (dataset.classes={classes})")


def _are_images(images: Any) -> bool:
    if not isinstance(images, Tensor) or images.dtype != torch.uint8 or images.dim() != 4:
        return False
    return images.shape[2] == images.shape[3]


def _told(value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"of type {type(value).__name__}"
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
