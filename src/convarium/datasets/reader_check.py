"""Check of what a dataset's reader returns, so that a mistake in an outside one is one line and not a traceback."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from convarium.datasets.splits import ImagePaths, RawImages
from convarium.errors import UserError


def check_reader_result(
    result: Any, parts: tuple[str, ...], dataset: Mapping[str, Any]
) -> Mapping[str, RawImages | ImagePaths]:
    """Return `result` if it is what a reader must return for `parts`.

    Raises:
        UserError: a part is missing, or its images or labels are of another type or shape, or a label is not a class.
    """
    owner = f"dataset {dataset['name']}"
    if not isinstance(result, Mapping) or not set(parts) <= set(result):
        raise UserError(f"{owner}: its reader must return a mapping with {', '.join(parts)}")
    for part in parts:
        images = result[part]
        if not isinstance(images, RawImages | ImagePaths):
            raise UserError(f"{owner}: {part} is {type(images).__name__}, expected RawImages or ImagePaths")
        _check_part(images, dataset["classes"], f"{owner}: {part}")
    return result


def _check_part(part: RawImages | ImagePaths, classes: int, owner: str) -> None:
    if isinstance(part, RawImages):
        count = len(part.images)
        if not _is_image_tensor(part.images):
            images_format = _format_type_and_shape(part.images)
            raise UserError(f"{owner} has images {images_format}, expected uint8 (N, channels, side, side)")
    else:
        count = len(part.paths)
    labels = part.labels
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64 or labels.shape != (count,):
        raise UserError(f"{owner} has labels {_format_type_and_shape(labels)}, expected int64 ({count},)")
    if not count:
        raise UserError(f"{owner} has no images")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise UserError(f"{owner} has labels {low}..{high}, expected 0..{classes - 1} (dataset.classes={classes})")


def _is_image_tensor(images: Any) -> bool:
    if not isinstance(images, Tensor) or images.dtype != torch.uint8 or images.dim() != 4:
        return False
    return images.shape[2] == images.shape[3]


def _format_type_and_shape(value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"of type {type(value).__name__}"
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
