"""MNIST's file format under `dataset.root`, read and where need be downloaded by torchvision."""

import socket
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from convarium.datasets.digest import verify
from convarium.datasets.splits import Pixels, stratified_order
from convarium.errors import UserError

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
VALIDATION = 1 / 12
CONNECT_SECONDS = 10.0


def read(
    kind: str, dataset: Mapping[str, Any], root: Path | None, parts: tuple[str, ...], known: Sequence[str]
) -> dict[str, Pixels]:
    """Read the parts asked for of `kind` (MNIST, FashionMNIST); a twelfth of train becomes validation (60k: 5k).

    Raises:
        UserError: files missing and not to be had, damaged, or not those of the declared fingerprint.
    """
    root = Path("data") if root is None else root
    name = dataset["name"]
    files = [root / kind / "raw" / file for file in FILES]
    if not all(file.is_file() for file in files):
        _download(kind, root, name)
    verify(files, dataset["fingerprint"], known, name)
    found = {}
    if "test" in parts:
        found["test"] = _pixels(kind, root, name, train=False)
    if set(parts) & {"train", "validation"}:
        pixels = _pixels(kind, root, name, train=True)
        order = stratified_order(pixels.labels, name)
        held = round(len(order) * VALIDATION)
        found |= {"validation": pixels.select(order[:held]), "train": pixels.select(order[held:])}
    return found


def _pixels(kind: str, root: Path, name: str, train: bool) -> Pixels:
    from torchvision import datasets

    try:
        stored = getattr(datasets, kind)(root, train=train, download=False)
    except Exception as error:
        raise UserError(f"{root / kind / 'raw'} can't be read as {name}: {_reason(error)}") from None
    return Pixels(stored.data.unsqueeze(1), torch.as_tensor(stored.targets, dtype=torch.int64))


def _download(kind: str, root: Path, name: str) -> None:
    """Let torchvision fetch the files into a folder beside, then move them in whole."""
    from torchvision import datasets

    home = root / kind / "raw"
    ours = [folder for folder in (home, home.parent, root) if not folder.exists()]
    timeout = socket.getdefaulttimeout()
    try:
        socket.setdefaulttimeout(CONNECT_SECONDS)
        home.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".download-", dir=root) as folder, redirect_stdout(None):
            getattr(datasets, kind)(folder, download=True)
            for file in FILES:
                (Path(folder) / kind / "raw" / file).replace(home / file)
    except Exception as error:
        for made in ours:
            with suppress(OSError):
                made.rmdir()
        raise UserError(
            f"dataset {name} is not in {home}: put {', '.join(FILES)} (not gzipped) there or set dataset.root;"
            f" downloading failed: {_reason(error)}"
        ) from None
    finally:
        socket.setdefaulttimeout(timeout)


def _reason(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:120]
