"""Sets in MNIST's file format under `dataset.root`: read and, where they are missing, downloaded by torchvision."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from convarium.datasets.downloads import download_files, format_reason
from convarium.datasets.fingerprints import check_sha256
from convarium.datasets.splits import RawImages, carve_validation
from convarium.errors import UserError

IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
VALIDATION_SHARE = 1 / 12  # of the 60,000 training images


def read_idx(
    torchvision_name: str,
    dataset: Mapping[str, Any],
    root: Path | None,
    parts: tuple[str, ...],
    known_prefixes: Sequence[str],
) -> dict[str, RawImages]:
    """Read some parts of `torchvision_name` (MNIST, FashionMNIST); a twelfth of its training images becomes validation.

    Args:
        known_prefixes: the first 16 hex digits of sha256 of each file, in the order of `IDX_FILES`.

    Raises:
        UserError: files are missing and can't be downloaded, damaged, or not those of the declared fingerprint.
    """
    root = Path("data") if root is None else root
    name = dataset["name"]
    home = root / torchvision_name / "raw"
    files = [home / file for file in IDX_FILES]
    if not all(file.is_file() for file in files):
        message = f"dataset {name} is not in {home}: put {', '.join(IDX_FILES)} (not gzipped)"
        download_files(
            home,
            root,
            IDX_FILES,
            message,
            lambda folder: _find_torchvision_class(torchvision_name)(folder, download=True),
        )
    check_sha256(files, dataset["fingerprint"], known_prefixes, name)
    pixels = {}
    if "test" in parts:
        pixels["test"] = _read_pixels(torchvision_name, root, name, train=False)
    if set(parts) & {"train", "validation"}:
        pixels |= carve_validation(_read_pixels(torchvision_name, root, name, train=True), name, VALIDATION_SHARE)
    return pixels


def _find_torchvision_class(torchvision_name: str) -> Any:
    from torchvision import datasets

    return getattr(datasets, torchvision_name)


def _read_pixels(torchvision_name: str, root: Path, name: str, train: bool) -> RawImages:
    try:
        stored = _find_torchvision_class(torchvision_name)(root, train=train, download=False)
    except Exception as error:
        home = root / torchvision_name / "raw"
        raise UserError(f"{home} can't be read as {name}: {format_reason(error)}") from None
    return RawImages(stored.data.unsqueeze(1), torch.as_tensor(stored.targets, dtype=torch.int64))
