"""SVHN (Netzer et al. 2011), cropped digits: 99,289 house numbers of 32x32; split 65,931 / 7,326 / its own 26,032."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from convarium.datasets.downloads import download_files, format_reason
from convarium.datasets.fingerprints import check_md5
from convarium.datasets.splits import RawImages, carve_validation
from convarium.errors import UserError

VALIDATION_SHARE = 1 / 10  # of the 73,257 training images


def svhn(dataset: Mapping[str, Any], root: Path | None, parts: tuple[str, ...]) -> dict[str, RawImages]:
    """Read some parts from `root`/{train,test}_32x32.mat; the "extra" images are not used.

    Raises:
        UserError: files are missing and can't be downloaded, damaged, or not those of the declared fingerprint.
    """
    from torchvision import datasets

    root = Path("data") if root is None else root
    md5_of_file = {}
    for split in ("train", "test"):
        _, file, md5 = datasets.SVHN.split_list[split]
        md5_of_file[file] = md5
    if not all((root / file).is_file() for file in md5_of_file):
        message = f"dataset svhn is not in {root}: put {', '.join(md5_of_file)}"
        download_files(root, root, list(md5_of_file), message, _download_archives)
    check_md5({root / file: md5 for file, md5 in md5_of_file.items()}, dataset["fingerprint"], "svhn")
    pixels = {}
    if "test" in parts:
        pixels["test"] = _read_pixels(root, "test")
    if set(parts) & {"train", "validation"}:
        pixels |= carve_validation(_read_pixels(root, "train"), "svhn", VALIDATION_SHARE)
    return pixels


def _download_archives(folder: str) -> None:
    from torchvision import datasets

    for split in ("train", "test"):
        datasets.SVHN(folder, split=split, download=True)


def _read_pixels(root: Path, split: str) -> RawImages:
    from torchvision import datasets

    try:
        stored = datasets.SVHN(root, split=split, download=False)
    except Exception as error:
        raise UserError(f"{root} can't be read as svhn: {format_reason(error)}") from None
    images = torch.from_numpy(np.ascontiguousarray(stored.data))
    return RawImages(images, torch.from_numpy(stored.labels))
