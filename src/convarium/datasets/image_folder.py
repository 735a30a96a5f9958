"""The user's own images: a folder a class (`datasets.folder_images`); split by content, or as the folder is divided."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from convarium.datasets.folder_images import list_folder_images
from convarium.datasets.splits import ImagePaths
from convarium.errors import UserError


def image_folder(dataset: Mapping[str, Any], root: Path | None, parts: tuple[str, ...]) -> dict[str, ImagePaths]:
    """Name the files of each part; what is not an image belongs to none, and is counted with train.

    Raises:
        UserError: no such folder, or other images than those the fingerprint tells of.
    """
    if root is None:
        raise UserError("dataset.root must be set: the folder of your images")
    found = list_folder_images(root, dataset["on_error"], class_names=dataset["class_names"])
    if dataset["fingerprint"] != found.fingerprint:
        declared = dataset["fingerprint"] or "missing"
        raise UserError(f"dataset.fingerprint is {declared}, the images in {root} have {found.fingerprint} now")
    if "train" in parts and not found.parts["train"]:
        raise UserError(f"dataset.root={root} holds no train: nothing can be trained on it, or decided from its images")
    labels = {part: torch.tensor([one.label for one in found.parts[part]]) for part in parts}
    skipped = {"train": found.skipped}
    return {
        part: ImagePaths(tuple(one.path for one in found.parts[part]), labels[part], skipped.get(part, 0))
        for part in parts
    }
