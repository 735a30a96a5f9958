"""ImageNet-1k (Russakovsky et al. 2015), ILSVRC 2012: split 1,229,920 / 51,247 / 50,000, its own val being the test."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from convarium.datasets.downloads import format_reason
from convarium.datasets.splits import ImagePaths, compute_stratified_order
from convarium.errors import UserError

VALIDATION_SHARE = 1 / 25
REQUIRED_ARCHIVES = (("meta.bin", "devkit"), ("train", "train"), ("val", "val"))


def imagenet(dataset: Mapping[str, Any], root: Path | None, parts: tuple[str, ...]) -> dict[str, ImagePaths]:
    """Name the files of each part in `root`/{train,val}; torchvision unpacks the archives where only these are there.

    Raises:
        UserError: folders and archives missing, damaged, or of other sizes than the whole set.
    """
    from torchvision.datasets.imagenet import ARCHIVE_META

    root = Path("data/imagenet") if root is None else root
    needed = {name: ARCHIVE_META[archive][0] for name, archive in REQUIRED_ARCHIVES}
    lacking = [file for name, file in needed.items() if not ((root / name).exists() or (root / file).exists())]
    if lacking:
        raise UserError(
            f"dataset imagenet is not in {root}: put {', '.join(lacking)} there (from image-net.org,"
            " with an account; train/ and val/ with a folder a class serve as well) or set dataset.root"
        )
    found = {}
    if "test" in parts:
        found["test"] = _list_split_paths(root, "val", dataset)
    if set(parts) & {"train", "validation"}:
        train = _list_split_paths(root, "train", dataset)
        order = torch.from_numpy(compute_stratified_order(train.labels, "imagenet"))
        held = round(len(order) * VALIDATION_SHARE)
        found |= {"validation": _select_paths(train, order[:held]), "train": _select_paths(train, order[held:])}
    return found


def _select_paths(files: ImagePaths, places: torch.Tensor) -> ImagePaths:
    return ImagePaths(tuple(files.paths[place] for place in places.tolist()), files.labels[places])


def _list_split_paths(root: Path, split: str, dataset: Mapping[str, Any]) -> ImagePaths:
    from torchvision import datasets

    try:
        stored = datasets.ImageNet(root, split=split)
    except Exception as error:
        raise UserError(f"{root} can't be read as imagenet: {format_reason(error)}") from None
    sizes = dataset["images"]
    classes, images = dataset["classes"], sizes["test"] if split == "val" else sizes["train"] + sizes["validation"]
    if (len(stored.classes), len(stored.samples)) != (classes, images):
        raise UserError(
            f"{root / split} has {len(stored.samples):,} images of {len(stored.classes):,} classes, imagenet"
            f" {images:,} of {classes:,}: a part of it is a set of its own, dataset=image_folder"
        )
    return ImagePaths(tuple(Path(path) for path, _ in stored.samples), torch.tensor(stored.targets))
