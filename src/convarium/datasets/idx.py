"""MNIST's file format under `dataset.root`, read and where need be downloaded by torchvision."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from convarium.datasets.digest import verify
from convarium.datasets.fetch import fetch, reason
from convarium.datasets.splits import Pixels, carved
from convarium.errors import UserError

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
VALIDATION = 1 / 12


def read(
    kind: str, dataset: Mapping[str, Any], root: Path | None, parts: tuple[str, ...], known: Sequence[str]
) -> dict[str, Pixels]:
    """Read the parts asked for of `kind` (MNIST, FashionMNIST); a twelfth of train becomes validation (60k: 5k).

    Raises:
        UserError: files missing and not to be had, damaged, or not those of the declared fingerprint.
    """
    root = Path("data") if root is None else root
    name = dataset["name"]
    home = root / kind / "raw"
    files = [home / file for file in FILES]
    if not all(file.is_file() for file in files):
        told = f"dataset {name} is not in {home}: put {', '.join(FILES)} (not gzipped)"
        fetch(home, root, FILES, told, lambda folder: _class(kind)(folder, download=True))
    verify(files, dataset["fingerprint"], known, name)
    found = {}
    if "test" in parts:
        found["test"] = _pixels(kind, root, name, train=False)
    if set(parts) & {"train", "validation"}:
        found |= carved(_pixels(kind, root, name, train=True), name, VALIDATION)
    return found


def _class(kind: str) -> Any:
    from torchvision import datasets

    return getattr(datasets, kind)


def _pixels(kind: str, root: Path, name: str, train: bool) -> Pixels:
    try:
        stored = _class(kind)(root, train=train, download=False)
    except Exception as error:
        raise UserError(f"{root / kind / 'raw'} can't be read as {name}: {reason(error)}") from None
    return Pixels(stored.data.unsqueeze(1), torch.as_tensor(stored.targets, dtype=torch.int64))
