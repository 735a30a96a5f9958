"""MNIST's file format: tiny folders in the true format, and the genuine ones where CONVARIUM_DATA names a folder."""

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from convarium.datasets import idx
from convarium.datasets.loading import load_splits
from convarium.errors import UserError

CONF = Path(__file__).parents[2] / "conf" / "dataset"
ALL = ("train", "validation", "test")
GENUINE = os.environ.get("CONVARIUM_DATA", "")


def write(path: Path, array: np.ndarray[Any, Any]) -> None:
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, count in (("train", 240), ("t10k", 30)):
        write(raw / f"{part}-images-idx3-ubyte", rng.integers(0, 256, (count, 28, 28)))
        write(raw / f"{part}-labels-idx1-ubyte", np.arange(count) % 10)
    return tmp_path


def config(root: Path, name: str = "mnist") -> dict[str, Any]:
    """Return the set's config with the fingerprint of the tiny files, as the error about a missing one names it."""
    described = {**yaml.safe_load((CONF / f"{name}.yaml").read_text()), "fingerprint": None}
    with pytest.raises(UserError, match="is missing: the files there have") as caught:
        load_splits(described, str(root), ("test",))
    return {**described, "fingerprint": str(caught.value).split()[-1]}


def test_a_twelfth_of_train_becomes_validation_and_test_stays_whole(root: Path) -> None:
    splits = load_splits(config(root), str(root), ALL)
    assert [len(part) for part in (splits.train, splits.validation, splits.test) if part] == [220, 20, 30]
    assert splits.validation is not None
    assert splits.validation.labels.bincount().tolist() == [2] * 10
    assert splits.test is not None
    assert splits.test.labels.tolist() == [i % 10 for i in range(30)]


def test_a_folder_without_data_is_named_with_what_belongs_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchvision.datasets.MNIST.mirrors", ["http://127.0.0.1:9/"])
    described = yaml.safe_load((CONF / "mnist.yaml").read_text())
    with pytest.raises(UserError, match=r"mnist is not in .*MNIST/raw: put train-images-idx3-ubyte, .* dataset\.root"):
        load_splits(described, str(tmp_path / "data"), ALL)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("file", idx.IDX_FILES)
def test_a_truncated_file_is_refused(root: Path, file: str) -> None:
    described = config(root)
    path = root / "MNIST" / "raw" / file
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(UserError, match="is damaged or not the genuine file of mnist"):
        load_splits(described, str(root), ALL)


def test_a_file_in_another_format_is_refused_even_with_a_fitting_fingerprint(root: Path) -> None:
    (root / "MNIST" / "raw" / "train-images-idx3-ubyte").write_bytes(b"not an image file at all")
    with pytest.raises(UserError, match="can't be read as mnist"):
        load_splits(config(root), str(root), ("train",))


@pytest.mark.skipif(not GENUINE, reason="CONVARIUM_DATA names no folder with MNIST and FashionMNIST")
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_the_genuine_files_have_the_declared_fingerprint_and_statistics(name: str) -> None:
    splits = load_splits(yaml.safe_load((CONF / f"{name}.yaml").read_text()), GENUINE, ALL)
    assert [len(part) for part in (splits.train, splits.validation, splits.test) if part] == [55_000, 5_000, 10_000]
    assert splits.train is not None
    assert abs(splits.train.images.double().mean().item()) < 1e-5
    assert abs(splits.train.images.double().std().item() - 1) < 1e-4


@pytest.mark.skipif(not GENUINE, reason="CONVARIUM_DATA names no folder with MNIST and FashionMNIST")
def test_a_damaged_genuine_file_is_named(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in idx.IDX_FILES:
        (raw / file).symlink_to(Path(GENUINE) / "MNIST" / "raw" / file)
    damaged = raw / "t10k-labels-idx1-ubyte"
    content = damaged.read_bytes()
    damaged.unlink()
    damaged.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(UserError, match="t10k-labels-idx1-ubyte is damaged"):
        load_splits(yaml.safe_load((CONF / "mnist.yaml").read_text()), str(tmp_path), ("test",))
