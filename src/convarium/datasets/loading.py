"""From a dataset's config to normalised tensors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from convarium.datasets.splits import Pixels, Splits, Tensors, channels_last
from convarium.errors import UserError
from convarium.names import find

PARTS = ("train", "validation", "test")


def load(dataset: Mapping[str, Any], root: str | None = None, parts: tuple[str, ...] = PARTS) -> Splits:
    """Load the parts asked for, resized, with the declared channels, normalised by the declared mean and deviation.

    Splits are fixed; `dataset.train_size` keeps a stratified part of train, the smaller inside the larger.

    Args:
        dataset: its config: name, channels, img_size, train_size, fingerprint, mean, std.
        root: the folder that holds `MNIST/raw` and the like, for the sets that are not embedded.
        parts: of train, validation, test.

    Raises:
        UserError: data missing or damaged, or a train_size that is not there.
    """
    reader = find("datasets", dataset["name"])
    read: dict[str, Pixels] = reader(dataset, Path(root) if root else None, parts)
    mean, std = _stretch(dataset, "mean"), _stretch(dataset, "std")
    if "train" in parts and dataset.get("train_size"):
        read["train"] = _first(read["train"], dataset["train_size"], dataset["name"])
    ready = {part: _tensors(read[part], dataset, mean, std) for part in parts}
    return Splits(ready.get("train"), ready.get("validation"), ready.get("test"), mean, std)


def _first(pixels: Pixels, size: int, name: str) -> Pixels:
    if not 1 <= size <= len(pixels.labels):
        raise UserError(f"dataset.train_size={size}: {name} has 1..{len(pixels.labels)} training images")
    return Pixels(pixels.images[:size], pixels.labels[:size], pixels.white)


def _stretch(dataset: Mapping[str, Any], key: str) -> tuple[float, ...]:
    """Return one value a channel; a single value serves all channels."""
    values, channels = dataset[key], dataset["channels"]
    if len(values) not in (1, channels):
        raise UserError(f"dataset.{key} has {len(values)} values for dataset.channels={channels}")
    return tuple(float(value) for value in (values if len(values) == channels else values * channels))


def _tensors(pixels: Pixels, dataset: Mapping[str, Any], mean: tuple[float, ...], std: tuple[float, ...]) -> Tensors:
    images = pixels.images.to(torch.float32).div_(pixels.white)
    size = dataset.get("img_size") or images.shape[-1]
    if size != images.shape[-1]:
        images = _resized(images, size)
    if dataset["channels"] != images.shape[1]:
        images = _repeated(images, dataset)
    return Tensors(channels_last(images.sub_(_column(mean)).div_(_column(std))), pixels.labels)


def _resized(images: Tensor, size: int) -> Tensor:
    return functional.interpolate(images, size=(size, size), mode="bilinear", antialias=True, align_corners=False)


def _repeated(images: Tensor, dataset: Mapping[str, Any]) -> Tensor:
    if images.shape[1] != 1:
        raise UserError(f"dataset.channels={dataset['channels']}: {dataset['name']} has {images.shape[1]} channels")
    return images.repeat(1, dataset["channels"], 1, 1)


def _column(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values).reshape(1, -1, 1, 1)
