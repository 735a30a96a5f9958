"""CIFAR's batches under `dataset.root`, read and where need be downloaded by torchvision, known by their md5."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from convarium.datasets.digest import verify_md5
from convarium.datasets.fetch import fetch, reason
from convarium.datasets.splits import Pixels, carved
from convarium.errors import UserError

VALIDATION = 1 / 10


def read(kind: str, dataset: Mapping[str, Any], root: Path | None, parts: tuple[str, ...]) -> dict[str, Pixels]:
    """Read the parts asked for of `kind` (CIFAR10, CIFAR100); a tenth of train becomes validation (50k: 5k).

    Raises:
        UserError: files missing and not to be had, damaged, or not those of the declared fingerprint.
    """
    from torchvision import datasets

    stored: Any = getattr(datasets, kind)
    root = Path("data") if root is None else root
    name, home = dataset["name"], root / stored.base_folder
    known = dict([*stored.train_list, *stored.test_list, (stored.meta["filename"], stored.meta["md5"])])
    if not all((home / file).is_file() for file in known):
        told = f"dataset {name} is not in {home}: put {', '.join(known)}"
        fetch(home, root, list(known), told, lambda folder: stored(folder, download=True))
    verify_md5({home / file: md5 for file, md5 in known.items()}, dataset["fingerprint"], name)
    found = {}
    if "test" in parts:
        found["test"] = _pixels(stored, root, name, train=False)
    if set(parts) & {"train", "validation"}:
        found |= carved(_pixels(stored, root, name, train=True), name, VALIDATION)
    return found


def _pixels(kind: Any, root: Path, name: str, train: bool) -> Pixels:
    try:
        stored = kind(root, train=train, download=False)
    except Exception as error:
        raise UserError(f"{root / kind.base_folder} can't be read as {name}: {reason(error)}") from None
    return Pixels(torch.from_numpy(stored.data).permute(0, 3, 1, 2), torch.tensor(stored.targets))
