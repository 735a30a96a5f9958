"""ImageNet-1k (Russakovsky et al. 2015), ILSVRC 2012: split 1,229,920 / 51,247 / 50,000, its own val being the test."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from convarium.datasets.downloads import format_reason
from convarium.datasets.splits import ImagePaths, compute_stratified_order
from convarium.errors import UserError

VALIDATION_SHARE = 1 / 25  # of the training images, about as many as the test has
REQUIRED_ARCHIVES = (("meta.bin", "devkit"), ("train", "train"), ("val", "val"))  # unpacked name, torchvision's key


def imagenet(dataset: Mapping[str, Any], root: Path | None, parts: tuple[str, ...]) -> dict[str, ImagePaths]:
    """List the files of some parts in `root`/{train,val}; where only the archives are there, torchvision unpacks them.

    Raises:
        UserError: folders and archives are missing, damaged, or hold another number of images than the whole set.
    """
    from torchvision.datasets.imagenet import ARCHIVE_META

    root = Path("data/imagenet") if root is None else root
    missing = []
    for unpacked_name, archive_key in REQUIRED_ARCHIVES:
        archive = ARCHIVE_META[archive_key][0]
        if not (root / unpacked_name).exists() and not (root / archive).exists():
            missing.append(archive)
    if missing:
        raise UserError(
            f"dataset imagenet is not in {root}: put {', '.join(missing)} there (from image-net.org,"
            " with an account; train/ and val/ with a folder a class serve as well) or set dataset.root"
        )
    files = {}
    if "test" in parts:
        files["test"] = _list_split_paths(root, "val", dataset)
    if set(parts) & {"train", "validation"}:
        train = _list_split_paths(root, "train", dataset)
        order = torch.from_numpy(compute_stratified_order(train.labels, "imagenet"))
        validation_count = round(len(order) * VALIDATION_SHARE)
        files["validation"] = _select_paths(train, order[:validation_count])
        files["train"] = _select_paths(train, order[validation_count:])
    return files


def _select_paths(files: ImagePaths, indices: torch.Tensor) -> ImagePaths:
    paths = tuple(files.paths[index] for index in indices.tolist())
    return ImagePaths(paths, files.labels[indices])


def _list_split_paths(root: Path, split: str, dataset: Mapping[str, Any]) -> ImagePaths:
    """List the files of a split as torchvision calls it (train, val)."""
    from torchvision import datasets

    try:
        stored = datasets.ImageNet(root, split=split)
    except Exception as error:
        raise UserError(f"{root} can't be read as imagenet: {format_reason(error)}") from None
    sizes = dataset["images"]
    expected_images = sizes["test"] if split == "val" else sizes["train"] + sizes["validation"]
    expected_classes = dataset["classes"]
    images, classes = len(stored.samples), len(stored.classes)
    if (classes, images) != (expected_classes, expected_images):
        raise UserError(
            f"{root / split} has {images:,} images of {classes:,} classes, imagenet"
            f" {expected_images:,} of {expected_classes:,}: a part of it is a set of its own, dataset=image_folder"
        )
    return ImagePaths(tuple(Path(path) for path, _ in stored.samples), torch.tensor(stored.targets))
