"""The files of CIFAR under `dataset.root`: read and, where they are missing, downloaded by torchvision."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from convarium.datasets.downloads import download_files, format_reason
from convarium.datasets.fingerprints import check_md5
from convarium.datasets.splits import RawImages, carve_validation
from convarium.errors import UserError

VALIDATION_SHARE = 1 / 10  # of the 50,000 training images


def read_cifar(
    torchvision_name: str, dataset: Mapping[str, Any], root: Path | None, parts: tuple[str, ...]
) -> dict[str, RawImages]:
    """Read some parts of `torchvision_name` (CIFAR10, CIFAR100); a tenth of its training images becomes validation.

    Raises:
        UserError: files are missing and can't be downloaded, damaged, or not those of the declared fingerprint.
    """
    from torchvision import datasets

    torchvision_class: Any = getattr(datasets, torchvision_name)
    root = Path("data") if root is None else root
    home = root / torchvision_class.base_folder
    name = dataset["name"]
    meta = torchvision_class.meta
    md5_of_file = dict([*torchvision_class.train_list, *torchvision_class.test_list, (meta["filename"], meta["md5"])])
    if not all((home / file).is_file() for file in md5_of_file):
        message = f"dataset {name} is not in {home}: put {', '.join(md5_of_file)}"
        download_files(home, root, list(md5_of_file), message, lambda folder: torchvision_class(folder, download=True))
    check_md5({home / file: md5 for file, md5 in md5_of_file.items()}, dataset["fingerprint"], name)
    pixels = {}
    if "test" in parts:
        pixels["test"] = _read_pixels(torchvision_class, root, name, train=False)
    if set(parts) & {"train", "validation"}:
        pixels |= carve_validation(_read_pixels(torchvision_class, root, name, train=True), name, VALIDATION_SHARE)
    return pixels


def _read_pixels(torchvision_class: Any, root: Path, name: str, train: bool) -> RawImages:
    try:
        stored = torchvision_class(root, train=train, download=False)
    except Exception as error:
        home = root / torchvision_class.base_folder
        raise UserError(f"{home} can't be read as {name}: {format_reason(error)}") from None
    images = torch.from_numpy(stored.data).permute(0, 3, 1, 2)
    return RawImages(images, torch.tensor(stored.targets))
