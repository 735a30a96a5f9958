"""From a dataset's config to normalised images."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from convarium.datasets.image_preparation import ImagePreparation, LazyImages
from convarium.datasets.pixel_cache import decode_files, find_cached_pixels
from convarium.datasets.reader_check import check_reader_result
from convarium.datasets.splits import ImagePaths, ImageTensors, LabelledImages, RawImages, Splits
from convarium.errors import UserError
from convarium.lookup import find_by_name

ALL_PARTS = ("train", "validation", "test")
MAX_IN_MEMORY_BYTES = 4 << 30  # bytes of a part as float32; a larger one is made ready batch by batch
IMAGES_PER_COUNT = 1000

Reader = Callable[[Mapping[str, Any], Path | None, tuple[str, ...]], Mapping[str, RawImages | ImagePaths]]


def load_splits(
    dataset: Mapping[str, Any], root: str | None = None, parts: tuple[str, ...] = ALL_PARTS, cache: Path | None = None
) -> Splits:
    """Load the parts asked for, resized, with the declared channels, normalised by the declared mean and deviation.

    Splits are fixed; `dataset.train_size` keeps a stratified part of train, the smaller inside the larger. Mean and
    deviation that are not declared are those of the training images; where these are not asked for, images are not
    normalised (mean 0, deviation 1).

    Args:
        dataset: its config: name, channels, img_size, train_size, fingerprint, mean, std.
        root: the folder that holds `MNIST/raw` and the like, for the sets that are not embedded.
        parts: of train, validation, test.
        cache: the folder in which decoded images are kept.

    Raises:
        UserError: data missing or damaged, or a train_size that is not there.
    """
    read = _read_parts(dataset, root, parts, cache)
    mean, std = _find_mean_and_std(dataset, read.get("train"))
    if "train" in parts and dataset.get("train_size"):
        read["train"] = _select_first(read["train"], dataset["train_size"], dataset["name"])
    ready = {part: LabelledImages(_prepare_images(read[part], dataset, mean, std), read[part].labels) for part in parts}
    skipped = {part: pixels.skipped for part, pixels in read.items() if pixels.skipped}
    return Splits(ready.get("train"), ready.get("validation"), ready.get("test"), mean, std, skipped)


def match_value_range(header: Mapping[str, Any], dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Return a dataset whose images of more than 8 bits are scaled as those that a file's network was trained on.

    Args:
        header: of the file (`cvm.header`).
    """
    given = header["input"].get("value_range")
    return {**dataset, "value_range": given} if given and dataset.get("value_range") else {**dataset}


def _read_parts(
    dataset: Mapping[str, Any], root: str | None, parts: tuple[str, ...], cache: Path | None
) -> dict[str, RawImages]:
    reader: Reader = find_by_name("datasets", dataset["name"])
    found = {part: pixels for part in parts if (pixels := find_cached_pixels(dataset, part, cache)) is not None}
    missing = tuple(part for part in parts if part not in found)
    read = (
        check_reader_result(reader(dataset, Path(root) if root else None, missing), missing, dataset) if missing else {}
    )
    for part in missing:
        new = read[part]
        found[part] = decode_files(new, dataset, part, cache) if isinstance(new, ImagePaths) else new
    return found


def _select_first(pixels: RawImages, size: int, name: str) -> RawImages:
    if not 1 <= size <= len(pixels.labels):
        raise UserError(f"dataset.train_size={size}: {name} has 1..{len(pixels.labels)} training images")
    return RawImages(pixels.images[:size], pixels.labels[:size], pixels.white_level, pixels.skipped)


def _find_mean_and_std(
    dataset: Mapping[str, Any], train: RawImages | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and deviation of each channel: declared, or else of the training images."""
    if dataset["mean"] is not None and dataset["std"] is not None:
        return _expand_to_channels(dataset, "mean"), _expand_to_channels(dataset, "std")
    if train is None:
        return (0.0,) * dataset["channels"], (1.0,) * dataset["channels"]
    found = [_measure_channel(train, channel) for channel in range(train.images.shape[1])]
    return tuple(mean for mean, _ in found), tuple(std for _, std in found)


def _measure_channel(pixels: RawImages, channel: int) -> tuple[float, float]:
    """Count in whole numbers, so that the order of images does not matter."""
    counts = torch.zeros(256, dtype=torch.int64)
    for start in range(0, len(pixels.labels), IMAGES_PER_COUNT):
        counts += pixels.images[start : start + IMAGES_PER_COUNT, channel].flatten().bincount(minlength=256)
    levels = torch.arange(256, dtype=torch.float64) / pixels.white_level
    share = counts.double() / counts.sum()
    mean = float((share * levels).sum())
    deviation = float((share * (levels - mean) ** 2).sum()) ** 0.5
    return round(mean, 6), round(deviation, 6) or 1.0


def _expand_to_channels(dataset: Mapping[str, Any], key: str) -> tuple[float, ...]:
    """Return one value a channel; a single value serves all channels."""
    values, channels = dataset[key], dataset["channels"]
    if len(values) not in (1, channels):
        raise UserError(f"dataset.{key} has {len(values)} values for dataset.channels={channels}")
    return tuple(float(value) for value in (values if len(values) == channels else values * channels))


def _prepare_images(
    pixels: RawImages, dataset: Mapping[str, Any], mean: tuple[float, ...], std: tuple[float, ...]
) -> ImageTensors:
    stored: Tensor = pixels.images
    size, channels = dataset.get("img_size") or stored.shape[-1], dataset["channels"]
    if stored.shape[1] not in (1, channels):
        raise UserError(f"dataset.channels={channels}: {dataset['name']} has {stored.shape[1]} channels")
    prepare = ImagePreparation(pixels.white_level, size, channels, mean, std)
    too_large = 4 * len(stored) * channels * size * size > MAX_IN_MEMORY_BYTES
    return LazyImages(stored, prepare) if too_large else prepare(stored)
