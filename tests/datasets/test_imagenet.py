"""ImageNet's layout: a tiny one with devkit archive and folders by WordNet id."""

import tarfile
from hashlib import md5
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from scipy.io import savemat
from torchvision.datasets import imagenet as true_format

from convarium.datasets.loading import load_splits
from convarium.errors import UserError
from real_images import write_photo_folder

CONFIG = yaml.safe_load((Path(__file__).parents[2] / "conf/dataset/imagenet.yaml").read_text())
SIZES = {"train": 48, "validation": 2, "test": 10}
SYNSETS = (("n00000001", "palace, temple"), ("n00000002", "flower"))
TYPES = [("ILSVRC2012_ID", "f8"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "f8")]


def devkit(root: Path) -> bytes:
    """Write the devkit's archive: two classes and a word that stands above them."""
    data = root / "ILSVRC2012_devkit_t12" / "data"
    data.mkdir(parents=True)
    leaves = [(float(place + 1), wnid, words, "", 0.0) for place, (wnid, words) in enumerate(SYNSETS)]
    savemat(data / "meta.mat", {"synsets": np.array([*leaves, (3.0, "n00000003", "thing", "", 2.0)], dtype=TYPES)})
    (data / "ILSVRC2012_validation_ground_truth.txt").write_text("1\n2\n" * 5)
    with tarfile.open(root / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as archive:
        archive.add(data.parent, data.parent.name)
    return (root / "ILSVRC2012_devkit_t12.tar.gz").read_bytes()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    archive = devkit(tmp_path)
    known = {**true_format.ARCHIVE_META, "devkit": ("ILSVRC2012_devkit_t12.tar.gz", md5(archive).hexdigest())}
    monkeypatch.setattr(true_format, "ARCHIVE_META", known)
    for part, count in (("train", 25), ("val", 5)):
        write_photo_folder(tmp_path / part, count)
        for (wnid, _), name in zip(SYNSETS, ("china", "flower"), strict=True):
            (tmp_path / part / name).rename(tmp_path / part / wnid)
            for image in (tmp_path / part / wnid).iterdir():
                image.rename(image.with_suffix(".JPEG"))
    return tmp_path


def config(**changes: Any) -> dict[str, Any]:
    return {**CONFIG, "classes": 2, "images": SIZES, "img_size": 32, **changes}


def test_val_is_the_test_and_validation_comes_from_train(root: Path) -> None:
    splits = load_splits(config(), str(root), cache=root / "cache")
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    assert {name: len(part) for name, part in parts.items() if part} == SIZES
    assert splits.test is not None
    assert splits.test.images.shape == (10, 3, 32, 32)
    assert splits.test.labels.tolist() == [0] * 5 + [1] * 5
    assert splits.mean == (0.485, 0.456, 0.406)


def test_images_are_decoded_once(root: Path) -> None:
    first = load_splits(config(), str(root), ("test",), root / "cache").test
    for part in ("train", "val"):
        (root / part).rename(root / f"{part}-gone")
    again = load_splits(config(), str(root), ("test",), root / "cache").test
    assert first is not None
    assert again is not None
    assert torch.equal(first.images[:], again.images[:])
    with pytest.raises(UserError, match=r"put ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar there"):
        load_splits(config(), str(root), ("train",), root / "cache")


def test_a_part_of_imagenet_is_told_apart_from_the_whole(root: Path) -> None:
    with pytest.raises(UserError, match=r"val has 10 images of 2 classes, imagenet 50,000 of 1,000: .*image_folder"):
        load_splits({**CONFIG, "img_size": 32}, str(root), ("test",))


def test_a_damaged_devkit_is_said_in_one_line(root: Path) -> None:
    (root / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(b"cut off")
    with pytest.raises(UserError, match=r"can't be read as imagenet: The archive ILSVRC2012_devkit_t12.tar.gz"):
        load_splits(config(), str(root), ("test",))


def test_a_folder_without_data_is_named_with_what_belongs_there(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"imagenet is not in .*: put ILSVRC2012_devkit_t12.tar.gz, .*img_val.tar there"
    ):
        load_splits(CONFIG, str(tmp_path))
