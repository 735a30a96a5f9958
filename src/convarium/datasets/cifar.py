"""CIFAR's batches under `dataset.root`, read and where need be downloaded by torchvision, known by their md5."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from convarium.datasets.downloads import download_files, format_reason
from convarium.datasets.fingerprints import check_md5
from convarium.datasets.splits import RawImages, carve_validation
from convarium.errors import UserError

VALIDATION_SHARE = 1 / 10


def read_cifar(
    torchvision_name: str, dataset: Mapping[str, Any], root: Path | None, parts: tuple[str, ...]
) -> dict[str, RawImages]:
    """Read the parts asked for of `torchvision_name` (CIFAR10, CIFAR100); a tenth of train becomes validation (50k:
    5k).

    Raises:
        UserError: files missing and not to be had, damaged, or not those of the declared fingerprint.
    """
    from torchvision import datasets

    stored: Any = getattr(datasets, torchvision_name)
    root = Path("data") if root is None else root
    name, home = dataset["name"], root / stored.base_folder
    known = dict([*stored.train_list, *stored.test_list, (stored.meta["filename"], stored.meta["md5"])])
    if not all((home / file).is_file() for file in known):
        told = f"dataset {name} is not in {home}: put {', '.join(known)}"
        download_files(home, root, list(known), told, lambda folder: stored(folder, download=True))
    check_md5({home / file: md5 for file, md5 in known.items()}, dataset["fingerprint"], name)
    found = {}
    if "test" in parts:
        found["test"] = _read_pixels(stored, root, name, train=False)
    if set(parts) & {"train", "validation"}:
        found |= carve_validation(_read_pixels(stored, root, name, train=True), name, VALIDATION_SHARE)
    return found


def _read_pixels(torchvision_class: Any, root: Path, name: str, train: bool) -> RawImages:
    try:
        stored = torchvision_class(root, train=train, download=False)
    except Exception as error:
        raise UserError(
            f"{root / torchvision_class.base_folder} can't be read as {name}: {format_reason(error)}"
        ) from None
    return RawImages(torch.from_numpy(stored.data).permute(0, 3, 1, 2), torch.tensor(stored.targets))
