"""The user's own images, a folder for each class: split by content, or as the folder is divided."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from convarium.datasets.folder_images import list_folder_images
from convarium.datasets.splits import ImagePaths
from convarium.errors import UserError


def image_folder(dataset: Mapping[str, Any], root: Path | None, parts: tuple[str, ...]) -> dict[str, ImagePaths]:
    """List the files of some parts (`datasets.folder_images`); files that are not images are counted with train.

    Raises:
        UserError: there is no such folder, or its images are not those of the declared fingerprint.
    """
    if root is None:
        raise UserError("dataset.root must be set: the folder of your images")
    listing = list_folder_images(root, dataset["on_error"], class_names=dataset["class_names"])
    if dataset["fingerprint"] != listing.fingerprint:
        declared = dataset["fingerprint"] or "missing"
        raise UserError(f"dataset.fingerprint is {declared}, the images in {root} have {listing.fingerprint} now")
    if "train" in parts and not listing.parts["train"]:
        raise UserError(f"dataset.root={root} holds no train: nothing can be trained on it, or decided from its images")
    files = {}
    for part in parts:
        images = listing.parts[part]
        labels = torch.tensor([image.label for image in images], dtype=torch.int64)
        # The split goes by content, and an unreadable file has none: which part it belongs to can't be said.
        skipped = listing.skipped if part == "train" else 0
        files[part] = ImagePaths(tuple(image.path for image in images), labels, skipped)
    return files
