"""Which folders are images by class, and what is said of those that are not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from convarium.datasets.folder_images.class_folders import read_folder_layout, walk_class_files
from convarium.errors import UserError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def test_a_folder_is_a_class_and_classes_are_sorted(tmp_path: Path) -> None:
    touch(tmp_path, "dog/1.jpg", "cat/1.jpg", "cat/more/2.jpg", "list.csv", ".hidden/1.jpg")
    found = read_folder_layout(tmp_path)
    assert found.classes == ("cat", "dog")
    assert [(home.part, home.label, home.path.name) for home in found.class_folders] == [("", 0, "cat"), ("", 1, "dog")]
    assert [str(path.relative_to(tmp_path)) for path in walk_class_files(found.class_folders[0].path, tmp_path)] == [
        "cat/1.jpg", "cat/more/2.jpg",
    ]  # fmt: skip


def test_a_root_divided_into_parts_keeps_them(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{part}/{name}/1.jpg" for part in ("train", "val", "test") for name in ("cat", "dog")))
    found = read_folder_layout(tmp_path)
    assert found.classes == ("cat", "dog")
    assert {home.part for home in found.class_folders} == {"train", "validation", "test"}


def test_train_beside_other_folders_is_a_class(tmp_path: Path) -> None:
    assert read_folder_layout(touch(tmp_path, "train/1.jpg", "car/1.jpg")).classes == ("car", "train")


def test_names_that_computers_leave_are_no_images(tmp_path: Path) -> None:
    touch(tmp_path, "cat/Thumbs.db", "cat/.DS_Store", "cat/desktop.ini", "cat/1.jpg", "dog/1.jpg", "__MACOSX/cat/1.jpg")
    assert [path.name for path in walk_class_files(tmp_path / "cat", tmp_path)] == ["1.jpg"]
    assert read_folder_layout(tmp_path).classes == ("cat", "dog")


def test_links_are_followed(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/1.jpg", "set/dog/1.jpg")
    (tmp_path / "set" / "cat").symlink_to(tmp_path / "elsewhere")
    assert read_folder_layout(tmp_path / "set").classes == ("cat", "dog")


MISTAKES: dict[str, tuple[Callable[[Path], object], str]] = {
    "not there": (lambda root: root.rmdir(), "is not there"),
    "a file": (lambda root: (root.rmdir(), root.write_text("x")), "is not a folder: put images into <root>/<class>/"),
    "empty": (lambda root: None, "holds no folders: put images into <root>/<class>/"),
    "images without classes": (lambda root: touch(root, "1.jpg", "2.jpg"), "holds no folders"),
    "one class": (lambda root: touch(root, "cat/1.jpg"), "holds one class only, 'cat': a classifier needs two"),
    "no class": (lambda root: touch(root, "train/1.jpg"), "holds no class: a classifier needs two"),
    "no train": (lambda root: touch(root, "test/cat/1.jpg", "val/cat/1.jpg"), "holds test and val, but no train"),
    "two validations": (
        lambda root: touch(root, "train/cat/1.jpg", "val/cat/1.jpg", "validation/cat/1.jpg"),
        "holds both val and validation",
    ),
    "a class more": (
        lambda root: touch(root, "train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg", "test/dog/1", "test/eel/1"),
        "holds the class 'eel', which",
    ),
    "a class less": (
        lambda root: touch(root, "train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg"),
        "holds nothing of the class 'dog'",
    ),
    "an unprintable class": (lambda root: touch(root, "c\tat/1.jpg", "dog/1.jpg"), "has no printable name"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_what_is_no_folder_of_images_is_said_in_one_line(kind: str, tmp_path: Path) -> None:
    prepare, said = MISTAKES[kind]
    root = tmp_path / "set"
    root.mkdir()
    prepare(root)
    with pytest.raises(UserError) as error:
        read_folder_layout(root)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("link", ["cat/back", "cat/deep/back", "loop"])
def test_links_in_a_circle_are_named(link: str, tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.jpg", "cat/deep/2.jpg", "dog/1.jpg")
    (tmp_path / link).symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(UserError, match=rf"{link} leads back to a folder that it lies in: links in a circle"):
        [list(walk_class_files(home.path, tmp_path)) for home in read_folder_layout(tmp_path).class_folders]


def test_a_link_to_itself_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.jpg", "dog/1.jpg")
    (tmp_path / "cat" / "self").symlink_to(tmp_path / "cat" / "self")
    with pytest.raises(UserError, match=r"self can't be followed: Too many levels of symbolic links"):
        list(walk_class_files(tmp_path / "cat", tmp_path))
