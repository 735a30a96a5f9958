"""CIFAR's batches: tiny folders in the true format, whose md5 stand in for the genuine ones."""

import pickle
from hashlib import md5
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
import yaml

from convarium.datasets.loading import load_splits
from convarium.errors import UserError

CONF = Path(__file__).parents[2] / "conf" / "dataset"
ALL = ("train", "validation", "test")
SETS = [("cifar10", "CIFAR10", 10), ("cifar100", "CIFAR100", 100)]
IMAGES = 200  # in each file


def pixels(first: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(first).integers(0, 256, (IMAGES, 3072)).astype(np.uint8)


@pytest.fixture(params=SETS, ids=lambda one: one[0])
def tiny(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path]:
    """Write every file of a set in its own format; torchvision knows them by their md5."""
    name, kind, classes = request.param
    stored = getattr(torchvision.datasets, kind)
    home = tmp_path / stored.base_folder
    home.mkdir()
    label_key = "labels" if name == "cifar10" else "fine_labels"
    for attribute in ("train_list", "test_list"):
        known = []
        for place, (file, _) in enumerate(getattr(stored, attribute)):
            labels = [index % classes for index in range(IMAGES)]
            data = pickle.dumps({"data": pixels(place), label_key: labels}, protocol=2)
            (home / file).write_bytes(data)
            known.append([file, md5(data).hexdigest()])
        monkeypatch.setattr(stored, attribute, known)
    meta = pickle.dumps({stored.meta["key"]: [f"class {label}" for label in range(classes)]}, protocol=2)
    (home / stored.meta["filename"]).write_bytes(meta)
    monkeypatch.setattr(stored, "meta", {**stored.meta, "md5": md5(meta).hexdigest()})
    return name, tmp_path


def config(name: str, root: Path) -> dict[str, Any]:
    """Return the set's config with the fingerprint of the tiny files, as the error about a missing one names it."""
    described = {**yaml.safe_load((CONF / f"{name}.yaml").read_text()), "fingerprint": None}
    with pytest.raises(UserError, match="is missing: the files there have") as caught:
        load_splits(described, str(root), ("test",))
    return {**described, "fingerprint": str(caught.value).split()[-1]}


def test_a_tenth_of_train_becomes_validation_and_test_stays_whole(tiny: tuple[str, Path]) -> None:
    name, root = tiny
    described = config(name, root)
    splits = load_splits(described, str(root), ALL)
    whole = IMAGES * (5 if name == "cifar10" else 1)
    assert [len(part) for part in (splits.train, splits.validation, splits.test) if part] == [
        whole - whole // 10, whole // 10, IMAGES,
    ]  # fmt: skip
    assert splits.validation is not None
    assert splits.validation.labels.bincount().max() - splits.validation.labels.bincount().min() <= 1
    assert splits.test is not None
    assert splits.test.labels.tolist() == [index % described["classes"] for index in range(IMAGES)]


def test_pixels_are_in_the_right_place(tiny: tuple[str, Path]) -> None:
    name, root = tiny
    test = load_splits({**config(name, root), "mean": [0.0], "std": [1.0]}, str(root), ("test",)).test
    assert test is not None
    expected = torch.from_numpy(pixels(0).reshape(-1, 3, 32, 32)).float() / 255
    assert torch.equal(test.images[:], expected)


def test_a_damaged_file_is_named(tiny: tuple[str, Path]) -> None:
    name, root = tiny
    described = config(name, root)
    file = next(path for path in sorted(root.rglob("*")) if path.name.startswith("test"))
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match=rf"{file.name} is damaged or not the genuine file of {name} \(its md5 differs"):
        load_splits(described, str(root), ("test",))


def test_a_file_that_is_no_batch_is_refused_even_with_a_fitting_md5(
    tiny: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, root = tiny
    stored = torchvision.datasets.CIFAR10 if name == "cifar10" else torchvision.datasets.CIFAR100
    (root / stored.base_folder / stored.test_list[0][0]).write_bytes(b"no batch")
    monkeypatch.setattr(stored, "test_list", [[stored.test_list[0][0], md5(b"no batch").hexdigest()]])
    with pytest.raises(UserError, match=f"can't be read as {name}"):
        load_splits(config(name, root), str(root), ("test",))


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_a_folder_without_data_is_named_with_what_belongs_there(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchvision.datasets.CIFAR10.url", "http://127.0.0.1:9/")
    monkeypatch.setattr("torchvision.datasets.CIFAR100.url", "http://127.0.0.1:9/")
    described = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    with pytest.raises(UserError, match=rf"dataset {name} is not in .*: put .*meta there or set dataset\.root"):
        load_splits(described, str(tmp_path / "data"), ALL)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "kind", "classes"), SETS)
def test_the_declared_fingerprint_is_that_of_the_md5_torchvision_tells(name: str, kind: str, classes: int) -> None:
    from convarium.datasets.fingerprints import fingerprint_digests

    stored = getattr(torchvision.datasets, kind)
    known = [digest for _, digest in (*stored.train_list, *stored.test_list)] + [stored.meta["md5"]]
    described = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    assert (described["fingerprint"], described["classes"]) == (fingerprint_digests(known), classes)
