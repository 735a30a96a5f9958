"""SVHN's .mat files: tiny ones in the true format."""

from hashlib import md5
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision
import yaml
from scipy.io import savemat

from convarium.datasets.fingerprints import fingerprint_digests
from convarium.datasets.loading import load_splits
from convarium.errors import UserError

CONFIG = yaml.safe_load((Path(__file__).parents[2] / "conf/dataset/svhn.yaml").read_text())
ALL = ("train", "validation", "test")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    known = dict(torchvision.datasets.SVHN.split_list)
    for split, count in (("train", 100), ("test", 20)):
        url, file, _ = known[split]
        images = np.random.default_rng(count).integers(0, 256, (32, 32, 3, count)).astype(np.uint8)
        images[0, 1, 2, 0] = 77
        labels = (np.arange(count) % 10 + 1).astype(np.uint8)[:, None]  # a 0 is told as 10
        savemat(tmp_path / file, {"X": images, "y": labels})
        known[split] = [url, file, md5((tmp_path / file).read_bytes()).hexdigest()]
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", known)
    return tmp_path


def config(**changes: Any) -> dict[str, Any]:
    known = torchvision.datasets.SVHN.split_list
    return {**CONFIG, "fingerprint": fingerprint_digests([known[split][2] for split in ("train", "test")]), **changes}


def test_a_tenth_of_train_becomes_validation_and_ten_is_nought(root: Path) -> None:
    splits = load_splits(config(mean=[0.0], std=[1.0]), str(root), ALL)
    assert splits.validation is not None
    assert splits.test is not None
    assert splits.train is not None
    assert [len(splits.train), len(splits.validation), len(splits.test)] == [90, 10, 20]
    assert splits.validation.labels.bincount().tolist() == [1] * 10
    assert splits.test.labels.tolist() == [*range(1, 10), 0] * 2
    assert splits.test.images[:1][0, 2, 0, 1].item() == pytest.approx(77 / 255)


def test_a_damaged_file_is_named(root: Path) -> None:
    file = root / "test_32x32.mat"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"test_32x32.mat is damaged or not the genuine file of svhn"):
        load_splits(config(), str(root), ALL)


def test_another_fingerprint_is_refused(root: Path) -> None:
    with pytest.raises(UserError, match=r"dataset.fingerprint=0000: the files of svhn have"):
        load_splits(config(fingerprint="0000"), str(root), ALL)


def test_a_folder_without_data_is_named_with_what_belongs_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = torchvision.datasets.SVHN.split_list
    unreachable = {split: ["http://127.0.0.1:9/", *rest] for split, (_, *rest) in known.items()}
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", unreachable)
    with pytest.raises(UserError, match=r"svhn is not in .*data: put train_32x32.mat, test_32x32.mat there or set"):
        load_splits(CONFIG, str(tmp_path / "data"), ALL)
    assert not list(tmp_path.iterdir())


def test_the_declared_fingerprint_is_that_of_the_md5_torchvision_tells() -> None:
    assert config()["fingerprint"] == CONFIG["fingerprint"]
