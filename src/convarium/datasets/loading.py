"""From a dataset's config to normalised images, split into train, validation and test."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from convarium.datasets.image_preparation import ImagePreparation, LazyImages
from convarium.datasets.pixel_cache import decode_files, find_cached_pixels
from convarium.datasets.reader_check import check_reader_result
from convarium.datasets.splits import ImagePaths, ImageTensors, LabelledImages, RawImages, Splits
from convarium.errors import UserError, blame_data
from convarium.lookup import find_by_name

ALL_PARTS = ("train", "validation", "test")
MAX_IN_MEMORY_BYTES = 4 << 30  # bytes of a part as float32; a larger one is prepared batch by batch
FLOAT32_BYTES = 4
IMAGES_PER_COUNT = 1000  # images whose pixels are copied at once: all of a mapped file may not fit into memory

Reader = Callable[[Mapping[str, Any], Path | None, tuple[str, ...]], Mapping[str, RawImages | ImagePaths]]


@blame_data()
def load_splits(
    dataset: Mapping[str, Any], root: str | None = None, parts: tuple[str, ...] = ALL_PARTS, cache: Path | None = None
) -> Splits:
    """Load some parts of a dataset, resized to the declared size and channels, and normalised.

    Splits are fixed; `dataset.train_size` keeps a stratified part of train, the smaller inside the larger. Without a
    declared mean and std those of the training images are taken; where train is not among `parts`, images are then not
    normalised (mean 0, std 1).

    Args:
        dataset: its config: name, channels, img_size, train_size, fingerprint, mean, std.
        root: the folder that holds `MNIST/raw` and the like, for the sets that are not embedded.
        parts: of train, validation, test.
        cache: the folder in which decoded images are kept.

    Raises:
        UserError: data is missing or damaged, or train_size is more than there are training images; its cause is
            "data".
    """
    pixels = _read_parts(dataset, root, parts, cache)
    mean, std = _find_mean_and_std(dataset, pixels.get("train"))
    # After mean and std, which are of all training images: networks of different train_size get the same input.
    if "train" in parts and dataset.get("train_size"):
        pixels["train"] = _select_first(pixels["train"], dataset["train_size"], dataset["name"])
    prepared = {}
    for part in parts:
        images = _prepare_images(pixels[part], dataset, mean, std)
        prepared[part] = LabelledImages(images, pixels[part].labels)
    skipped = {part: raw_images.skipped for part, raw_images in pixels.items() if raw_images.skipped}
    return Splits(prepared.get("train"), prepared.get("validation"), prepared.get("test"), mean, std, skipped)


def check_files(dataset: Mapping[str, Any], root: str | None, cache: Path) -> None:
    """Check that a dataset of ours can be read; what is missing is downloaded. An outside reader is not asked.

    Raises:
        UserError: data is missing or damaged.
    """
    name = dataset["name"]
    is_cached = all(find_cached_pixels(dataset, part, cache) is not None for part in ALL_PARTS)
    if is_cached or "." in name or ":" in name:
        return
    reader: Reader = find_by_name("datasets", name)
    reader(dataset, Path(root) if root else None, ())


def match_value_range(header: Mapping[str, Any], dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Return a dataset whose images of more than 8 bits are scaled as those that a file's network was trained on.

    Args:
        header: of the file (`cvm.header`).
    """
    value_range = header["input"].get("value_range")
    if value_range and dataset.get("value_range"):
        return {**dataset, "value_range": value_range}
    return dict(dataset)


def find_declared_normalisation(dataset: Mapping[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Return mean and std of each channel as a dataset's config declares them, None where only the images show them."""
    if dataset["mean"] is None or dataset["std"] is None:
        return None
    return _expand_to_channels(dataset, "mean"), _expand_to_channels(dataset, "std")


def _read_parts(
    dataset: Mapping[str, Any], root: str | None, parts: tuple[str, ...], cache: Path | None
) -> dict[str, RawImages]:
    """Return the pixels of some parts: from the cache where it has them, else from the dataset's reader."""
    reader: Reader = find_by_name("datasets", dataset["name"])
    pixels = {}
    for part in parts:
        cached = find_cached_pixels(dataset, part, cache)
        if cached is not None:
            pixels[part] = cached
    missing = tuple(part for part in parts if part not in pixels)
    if not missing:
        return pixels
    result = check_reader_result(reader(dataset, Path(root) if root else None, missing), missing, dataset)
    for part in missing:
        images = result[part]
        pixels[part] = decode_files(images, dataset, part, cache) if isinstance(images, ImagePaths) else images
    return pixels


def _select_first(pixels: RawImages, size: int, name: str) -> RawImages:
    if not 1 <= size <= len(pixels.labels):
        raise UserError(f"dataset.train_size={size}: {name} has 1..{len(pixels.labels)} training images")
    return RawImages(pixels.images[:size], pixels.labels[:size], pixels.white_level, pixels.skipped)


def _find_mean_and_std(
    dataset: Mapping[str, Any], train: RawImages | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and std of each channel: declared, or else of the training images."""
    declared = find_declared_normalisation(dataset)
    if declared is not None:
        return declared
    if train is None:
        return (0.0,) * dataset["channels"], (1.0,) * dataset["channels"]
    figures = [_measure_channel(train, channel) for channel in range(train.images.shape[1])]
    return tuple(mean for mean, _ in figures), tuple(std for _, std in figures)


def _measure_channel(pixels: RawImages, channel: int) -> tuple[float, float]:
    """Return mean and standard deviation of a channel in 0..1, rounded to 6 digits.

    Pixels are counted as whole numbers, so that the order of the images does not matter.
    """
    counts = torch.zeros(256, dtype=torch.int64)
    for start in range(0, len(pixels.labels), IMAGES_PER_COUNT):
        images = pixels.images[start : start + IMAGES_PER_COUNT, channel]
        counts += images.flatten().bincount(minlength=256)
    levels = torch.arange(256, dtype=torch.float64) / pixels.white_level
    shares = counts.double() / counts.sum()
    mean = float((shares * levels).sum())
    deviation = float((shares * (levels - mean) ** 2).sum()) ** 0.5
    return round(mean, 6), round(deviation, 6) or 1.0  # 1.0: a constant channel can't be scaled


def _expand_to_channels(dataset: Mapping[str, Any], key: str) -> tuple[float, ...]:
    """Return one value a channel; a single value serves all channels."""
    values, channels = dataset[key], dataset["channels"]
    if len(values) not in (1, channels):
        raise UserError(f"dataset.{key} has {len(values)} values for dataset.channels={channels}")
    if len(values) == 1:
        values = values * channels
    return tuple(float(value) for value in values)


def _prepare_images(
    pixels: RawImages, dataset: Mapping[str, Any], mean: tuple[float, ...], std: tuple[float, ...]
) -> ImageTensors:
    images = pixels.images
    size = dataset.get("img_size") or images.shape[-1]
    channels = dataset["channels"]
    if images.shape[1] not in (1, channels):
        raise UserError(f"dataset.channels={channels}: {dataset['name']} has {images.shape[1]} channels")
    prepare = ImagePreparation(pixels.white_level, size, channels, mean, std)
    if FLOAT32_BYTES * len(images) * channels * size * size > MAX_IN_MEMORY_BYTES:
        return LazyImages(images, prepare)
    return prepare(images)
