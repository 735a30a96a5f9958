"""Single test images, to look at."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convarium.datasets import image_folder as image_folder_module
from convarium.datasets.digits import digits
from convarium.datasets.image_samples import read_test_samples
from convarium.datasets.splits import ImagePaths
from convarium.errors import UserError

DIGITS = {"name": "digits", "channels": 1, "classes": 10, "img_size": 8, "fingerprint": "03d55907d291540a"}
CIFAR10 = {"name": "cifar10", "channels": 3, "classes": 10, "img_size": 32, "fingerprint": "fe27c778b715a259"}


def test_images_are_those_at_the_places_asked_for() -> None:
    test = digits(DIGITS, None, ("test",))["test"]
    pixels = read_test_samples(DIGITS, [7, 3], test.labels.numpy())
    assert pixels.shape == (2, 8, 8, 1)
    assert np.array_equal(pixels[1, :, :, 0], (test.images[3, 0].double() * 255 / 16).round().numpy())


def test_other_images_than_those_that_were_measured_are_refused() -> None:
    labels = digits(DIGITS, None, ("test",))["test"].labels.numpy()
    with pytest.raises(UserError, match="digits: its test images are not those that were measured"):
        read_test_samples(DIGITS, [0], labels[::-1].copy())


def test_nothing_is_downloaded(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dataset cifar10 is not in"):
        read_test_samples(CIFAR10, [0], np.zeros(10_000, dtype=np.int64), str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_of_files_only_those_asked_for_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    paths = tuple(tmp_path / f"{number}.png" for number in range(3))
    Image.new("RGB", (20, 10), (200, 30, 0)).save(paths[1])  # the other two files do not exist

    def read_files(*_: Any) -> dict[str, ImagePaths]:
        return {"test": ImagePaths(paths, torch.tensor([0, 1, 1]))}

    monkeypatch.setattr(image_folder_module, "image_folder", read_files)
    dataset = {"name": "image_folder", "channels": 3, "classes": 2, "img_size": 4, "fingerprint": "f"}
    pixels = read_test_samples(dataset, [1], np.array([0, 1, 1]), str(tmp_path))
    assert pixels.shape == (1, 4, 4, 3)
    assert pixels[0, 0, 0].tolist() == [200, 30, 0]


def test_a_reader_of_an_outside_package_is_not_imported() -> None:
    with pytest.raises(UserError, match="readers of outside packages"):
        read_test_samples({**DIGITS, "name": "outside.module:reader"}, [0], np.zeros(1))
