"""The user's own images become splits: decoded once, in grey or colour, what is not an image named or left out."""

import json
import os
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch

from convarium.datasets import pixel_cache
from convarium.datasets.folder_images import list_folder_images
from convarium.datasets.loading import load_splits
from convarium.errors import UserError
from real_images import write_digit_folder, write_photo_folder

ALL = ("train", "validation", "test")


def config(root: Path, **changes: Any) -> dict[str, Any]:
    found = list_folder_images(root, changes.get("on_error", "fail"))
    return {
        "name": "image_folder", "channels": 1, "classes": len(found.classes), "class_names": list(found.classes),
        "img_size": 8, "train_size": None, "mean": None, "std": None, "on_error": "fail",
        "fingerprint": found.fingerprint, **changes,
    }  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_digit_folder(tmp_path / "digits", {"nought": 40, "one": 20})


def test_parts_are_normalised_by_their_training_images(root: Path) -> None:
    splits = load_splits(config(root), str(root))
    assert [len(part) for part in (splits.train, splits.validation, splits.test) if part] == [42, 6, 12]
    assert splits.train is not None
    images = splits.train.images[:]
    assert (images.shape, images.dtype) == ((42, 1, 8, 8), torch.float32)
    assert abs(images.mean().item()) < 1e-4
    assert abs(images.std(correction=0).item() - 1) < 1e-4
    assert splits.train.labels.bincount().tolist() == [28, 14]


def test_without_training_images_nothing_is_normalised(root: Path) -> None:
    splits = load_splits(config(root), str(root), ("test",))
    assert splits.test is not None
    assert (splits.mean, splits.std) == ((0.0,), (1.0,))
    assert splits.test.images[:].min() == 0
    assert splits.test.images[:].max() == 1


def test_colour_images_of_any_size(tmp_path: Path) -> None:
    root = write_photo_folder(tmp_path / "photos", 10)
    splits = load_splits(config(root, channels=3, img_size=24), str(root))
    assert splits.train is not None
    assert splits.train.images.shape == (14, 3, 24, 24)
    assert len(set(splits.mean)) == 3


def test_smaller_training_sets_lie_inside_larger_ones(root: Path) -> None:
    small, large = (load_splits(config(root, train_size=size), str(root), ("train",)).train for size in (9, 30))
    assert small is not None
    assert large is not None
    assert torch.equal(small.labels, large.labels[:9])
    assert small.labels.bincount().tolist() == [6, 3]


def test_images_are_decoded_once_and_kept_by_content(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described, cache = config(root), tmp_path / "cache"
    first = load_splits(described, str(root), cache=cache).train
    monkeypatch.setattr(pixel_cache, "decode_image", lambda *_: pytest.fail("decoded again"))
    moved = root.rename(tmp_path / "moved")
    again = load_splits(described, str(moved), cache=cache).train
    assert first is not None
    assert again is not None
    assert torch.equal(first.images[:], again.images[:])


@pytest.mark.parametrize("file", ["pixels", "about.json", "labels.npy"])
def test_kept_pixels_that_are_damaged_are_made_again(root: Path, tmp_path: Path, file: str) -> None:
    described, cache = config(root), tmp_path / "cache"
    first = load_splits(described, str(root), ("test",), cache).test
    (stored,) = cache.glob(f"pixels/*/{file}")
    stored.write_bytes(b"{")
    again = load_splits(described, str(root), ("test",), cache).test
    assert first is not None
    assert again is not None
    assert torch.equal(first.images[:], again.images[:])


def test_a_kept_part_is_never_seen_half_written(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described, cache = config(root), tmp_path / "cache"
    with monkeypatch.context() as patched:
        patched.setattr(
            pixel_cache.np, "save", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
        )
        with pytest.raises(OSError, match="No space left"):
            load_splits(described, str(root), ("test",), cache)
    assert not [path for path in cache.rglob("*") if path.is_dir() and path.parent.name == "pixels"]
    assert load_splits(described, str(root), ("test",), cache).test is not None


def test_a_file_that_is_no_image_is_named(root: Path) -> None:
    for path in (root / "one").iterdir():
        path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match=r"png is not an image \(.*\); remove it, or set dataset.on_error=skip"):
        load_splits(config(root), str(root))


def test_files_that_are_no_images_are_left_out_and_counted(root: Path, tmp_path: Path) -> None:
    for place in range(10):
        (root / "one" / f"{place}.txt").write_text(f"not an image {place}")
    (root / "one" / "gone.png").symlink_to(root / "nowhere.png")
    whole = (root / "nought" / "000.png").read_bytes()
    (root / "nought" / "cut off.png").write_bytes(whole[:-40])
    described = config(root, on_error="skip")
    for _ in range(2):  # decoded, then kept
        splits = load_splits(described, str(root), cache=tmp_path / "cache")
        assert sum(splits.skipped.values()) == 12
        assert sum(len(part) for part in (splits.train, splits.validation, splits.test) if part) == 60
    about = [json.loads(path.read_text()) for path in tmp_path.glob("cache/pixels/*/about.json")]
    assert sum(one["skipped"] for one in about) == 12


def test_a_class_of_which_nothing_is_left_is_named(root: Path) -> None:
    for path in (root / "one").iterdir():
        path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match="no file of the class 'one' for train is an image"):
        load_splits(config(root, on_error="skip"), str(root))


def test_images_that_changed_since_the_plan_are_refused(root: Path) -> None:
    described = {**config(root), "fingerprint": "0" * 16}
    with pytest.raises(UserError, match=r"dataset.fingerprint is 0000000000000000, the images in .* have"):
        load_splits(described, str(root))


def test_images_of_one_colour_are_no_reason_to_divide_by_nought(tmp_path: Path) -> None:
    from PIL import Image

    for name, grey in (("a", 10), ("b", 10)):
        (tmp_path / name).mkdir()
        for place in range(3):
            Image.new("L", (4 + place, 4), grey).save(tmp_path / name / f"{place}.png")
    assert load_splits(config(tmp_path), str(tmp_path)).std == (1.0,)


def test_pixels_are_kept_as_the_umask_says_and_their_lock_is_for_all(root: Path, tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        load_splits(config(root), str(root), ("test",), tmp_path / "cache")
    finally:
        os.umask(before)
    modes = {path.suffix: path.stat().st_mode & 0o777 for path in (tmp_path / "cache" / "pixels").iterdir()}
    assert modes == {"": 0o775, ".lock": 0o666}


@pytest.mark.parametrize("refused", ["kept", "lock", "draft"])
def test_pixels_that_another_user_keeps_for_himself_are_decoded_again(
    refused: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described, cache = config(root), tmp_path / "cache"
    first = load_splits(described, str(root), ("test",), cache).test
    before, mapped = sorted(cache.rglob("*")), pixel_cache._map_pixels

    def refuse(*_: object, **__: object) -> NoReturn:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(
        pixel_cache, "_map_pixels", lambda folder: refuse() if cache in folder.parents else mapped(folder)
    )
    if refused == "lock":
        monkeypatch.setattr(pixel_cache, "open_shared_file", refuse)
    if refused == "draft":
        monkeypatch.setattr(pixel_cache, "_decode_into_cache", refuse)
    again = load_splits(described, str(root), ("test",), cache).test
    assert first is not None
    assert again is not None
    assert torch.equal(first.images[:], again.images[:])
    assert sorted(cache.rglob("*")) == before


def test_pixels_are_not_kept_where_something_else_is(root: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("mine")
    assert load_splits(config(root), str(root), ("test",), tmp_path / "cache").test is not None
    assert (tmp_path / "cache").read_text() == "mine"
