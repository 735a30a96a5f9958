"""The split goes by content: no name, place or order of files matters, and adding an image moves few others."""

import json
import os
from io import BytesIO
from pathlib import Path

import pytest

from convarium.datasets.folder_images import FolderListing, list_folder_images
from convarium.datasets.folder_images.manifest import read_image_contents
from convarium.datasets.folder_images.probe_image import UnreadableImage
from convarium.errors import UserError
from real_images import load_digit_images

PARTS = ("train", "validation", "test")


def content(text: str) -> bytes:
    """An image of which there is no other with the same content."""
    file = BytesIO()
    load_digit_images(7)[0].save(file, "png")
    return file.getvalue() + text.encode()


def text_of(path: Path) -> str:
    return path.read_bytes()[len(content("")) :].decode()


def write(root: Path, counts: dict[str, int], prefix: str = "") -> Path:
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for place in range(count):
            (root / name / f"{prefix}{place}.jpg").write_bytes(content(f"{prefix}{name} {place}"))
    return root


def places(found: FolderListing) -> dict[str, str]:
    return {one.digest: part for part in PARTS for one in found.parts[part]}


def counts(found: FolderListing, part: str) -> list[int]:
    return [sum(one.label == label for one in found.parts[part]) for label in range(len(found.classes))]


def test_every_class_is_split_by_the_same_shares(tmp_path: Path) -> None:
    found = list_folder_images(write(tmp_path, {"cat": 100, "dog": 50, "eel": 3}), "fail")
    assert counts(found, "train") == [70, 35, 1]
    assert counts(found, "validation") == [10, 5, 1]
    assert counts(found, "test") == [20, 10, 1]
    assert len(places(found)) == 153


def test_names_and_places_do_not_matter(tmp_path: Path) -> None:
    first = list_folder_images(write(tmp_path / "one", {"cat": 30, "dog": 30}), "fail")
    other = write(tmp_path / "two", {"cat": 30, "dog": 30})
    for path in list(other.rglob("*.jpg")):
        path.rename(path.with_name(f"x{hash(path.name) % 997}{path.name}"))
    second = list_folder_images(other, "fail")
    assert second.fingerprint == first.fingerprint
    assert [one.digest for one in second.parts["test"]] == [one.digest for one in first.parts["test"]]


def test_content_and_class_names_matter(tmp_path: Path) -> None:
    root = write(tmp_path / "a", {"cat": 9, "dog": 9})
    fingerprints = {list_folder_images(root, "fail").fingerprint}
    (root / "cat" / "0.jpg").write_bytes(content("another"))
    os.utime(root / "cat", ns=(1, 1))  # within one process a change is seen by the folder's time
    fingerprints.add(list_folder_images(root, "fail").fingerprint)
    (root / "cat").rename(root / "mouse")
    fingerprints.add(list_folder_images(root, "fail").fingerprint)
    assert len(fingerprints) == 3


def test_adding_an_image_moves_few_others(tmp_path: Path) -> None:
    root = write(tmp_path, {"cat": 200, "dog": 200})
    before = places(list_folder_images(root, "fail"))
    write(root, {"cat": 1}, prefix="new")
    after = places(list_folder_images(root, "fail"))
    assert sum(after[digest] != part for digest, part in before.items()) <= 2


def test_equal_images_stay_together(tmp_path: Path) -> None:
    root = write(tmp_path, {"cat": 20, "dog": 20})
    for place in range(20):
        (root / "cat" / f"copy {place}.jpg").write_bytes(content(f"cat {place}"))
    found = list_folder_images(root, "fail")
    digests_of = {part: {one.digest for one in found.parts[part]} for part in PARTS}
    assert not digests_of["train"] & (digests_of["test"] | digests_of["validation"])
    assert counts(found, "test") == [8, 4]


def test_every_prefix_of_train_is_stratified(tmp_path: Path) -> None:
    train = list_folder_images(write(tmp_path, {"cat": 100, "dog": 50}), "fail").parts["train"]
    for size in (6, 15, 60):
        assert abs(sum(one.label for one in train[:size]) - size / 3) <= 1


def test_the_users_own_parts_are_kept_and_the_rest_is_taken_from_train(tmp_path: Path) -> None:
    whole = {part: {"cat": 10, "dog": 10} for part in ("train", "val", "test")}
    for kept in (("train",), ("train", "test"), ("train", "val"), ("train", "val", "test")):
        root = tmp_path / "-".join(kept)
        for part in kept:
            write(root / part, whole[part], prefix=part)
        found = list_folder_images(root, "fail")
        texts = {part: {text_of(one.path)[:2] for one in found.parts[part]} for part in PARTS}
        sizes = [len(found.parts[part]) for part in PARTS]
        if kept == ("train",):
            assert sizes == [14, 2, 4]
        elif len(kept) == 2:
            assert (texts["test"], sizes) == ({kept[1][:2]}, [18, 2, 20])
        else:
            assert (texts, sizes) == ({"train": {"tr"}, "validation": {"va"}, "test": {"te"}}, [20, 20, 20])


def test_a_class_with_too_few_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the class 'dog' has 2 different images, at least 3 are needed"):
        list_folder_images(write(tmp_path, {"cat": 10, "dog": 2}), "fail")


def test_a_class_without_images_is_named(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        write(tmp_path / part, {"cat": 3, "dog": 0 if part == "test" else 3})
    with pytest.raises(UserError, match=r"the class 'dog' has no images for test"):
        list_folder_images(tmp_path, "fail")


def gone(root: Path) -> None:
    (root / "cat" / "odd").symlink_to(root / "nowhere.jpg")


OTHERS = {
    "gone": (gone, "can't be read: No such file"),
    "a pipe": (lambda root: os.mkfifo(root / "cat" / "odd"), "is not a regular file"),
    "a text": (lambda root: (root / "cat" / "odd").write_text("a list of cats"), "is not an image"),
    "empty": (lambda root: (root / "cat" / "odd").touch(), "is not an image"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_file_that_is_no_image_is_named_or_left_out_and_counted(kind: str, tmp_path: Path) -> None:
    root = write(tmp_path, {"cat": 9, "dog": 9})
    before = list_folder_images(root, "fail")
    make, said = OTHERS[kind]
    make(root)
    with pytest.raises(UserError, match=rf"cat/odd {said}.*; remove it, or set dataset.on_error=skip"):
        list_folder_images(root, "fail")
    after = list_folder_images(root, "skip")
    assert (after.skipped, after.fingerprint, places(after)) == (1, before.fingerprint, places(before))


def test_contents_are_read_once_and_again_when_they_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, keep = write(tmp_path / "set", {"cat": 3}), tmp_path / "keep"
    paths = sorted(root.rglob("*.jpg"))
    for path in paths:
        os.utime(path, ns=(10**18, 10**18))
    first = read_image_contents(paths, root, keep)
    (file,) = keep.iterdir()
    assert len(json.loads(file.read_text())) == 3
    with monkeypatch.context() as patched:
        patched.setattr("convarium.datasets.folder_images.manifest.file_digest", lambda *_: pytest.fail("read again"))
        assert read_image_contents(paths, root, keep) == first
    paths[0].write_bytes(content("another content"))
    assert read_image_contents(paths, root, keep)[0] != first[0]
    paths[0].write_text("no image any more")
    assert isinstance(read_image_contents(paths, root, keep)[0], UnreadableImage)
    file.write_text("{")
    assert read_image_contents(paths[1:], root, keep) == first[1:]
