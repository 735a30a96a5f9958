"""A folder of images that can't be used ends in one line, exit code 2, and nothing stored."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from command_lines import HERE, MLP_ON_FOLDER, Call
from real_images import build_png_bomb, write_digit_folder

SHORT = ("architecture.kwargs.hidden=[8]", "recipe.epochs=1", "recipe.warmup_epochs=0")


@pytest.fixture
def mine(here: Path) -> Path:
    return write_digit_folder(here / "mine", {"nought": 12, "one": 6})


def circle(root: Path) -> None:
    (root / "one" / "back").symlink_to(root, target_is_directory=True)


def single(root: Path) -> None:
    (root / "one").rename(root.parent / "one")


def few(root: Path) -> None:
    for path in sorted((root / "one").iterdir())[2:]:
        path.unlink()


BEFORE: dict[str, tuple[Callable[[Path], object], tuple[str, ...], str]] = {
    "not there": (lambda root: root.rename("elsewhere"), (), "dataset.root=mine is not there"),
    "no root": (lambda root: None, ("~dataset.root",), "dataset.root must be set"),
    "empty": (lambda root: [path.rename(f"away {path.name}") for path in root.iterdir()], (), "holds no folders"),
    "one class": (single, (), "mine holds one class only, 'nought'"),
    "too few": (few, (), "mine: the class 'one' has 2 different images, at least 3 are needed"),
    "links in a circle": (circle, (), "mine/one/back leads back to a folder that it lies in: links in a circle"),
    "unreadable": (lambda root: (root / "one/gone").symlink_to("nowhere"), (), "mine/one/gone can't be read: No such"),
    "no image": (
        lambda root: (root / "one/a.txt").write_text("a"),
        (),
        "mine/one/a.txt is not an image; remove it, or",
    ),
    "many that are no images": (
        lambda root: [(root / "one" / name).write_text("a") for name in ("a.wav", "b.WAV", "c.txt", "d")],
        (),
        "4 of 22 files are no images (2 .wav, 1 .txt, 1 without a suffix), such as mine/one/a.wav, which is not an",
    ),
    "an iPhone's photograph": (
        lambda root: (root / "one/a.HEIC").write_text("a"),
        (),
        "mine/one/a.HEIC can't be read: HEIC needs pillow-heif; convert it to JPEG or PNG; remove it, or",
    ),
    "too large": (
        lambda root: (root / "one/a").write_bytes(build_png_bomb(99_999, 99_999)),
        (),
        "more than 89,478,485 pixels",
    ),
    "two channels": (lambda root: None, ("dataset.channels=2",), "dataset.channels=2: images are read as 1 (grey)"),
    "other classes": (lambda root: None, ("dataset.classes=3",), "dataset.classes=3: the images in mine have 2"),
    "other images": (
        lambda root: None,
        ("dataset.fingerprint=abc",),
        "dataset.fingerprint=abc: the images in mine",
    ),
    "no such way": (
        lambda root: None,
        ("dataset.on_error=ignore",),
        "dataset.on_error=ignore: expected one of fail, skip",
    ),
    "too large a part": (lambda root: None, ("dataset.train_size=50",), "image_folder has 1..13 training images"),
}


@pytest.mark.parametrize("kind", BEFORE)
def test_a_folder_that_can_t_be_used_is_refused_before_anything_is_stored(kind: str, mine: Path, call: Call) -> None:
    change, overrides, said = BEFORE[kind]
    change(mine)
    code, out, error = call("run", *MLP_ON_FOLDER, *SHORT, *overrides, *HERE)
    assert (code, out) == (2, "")
    assert said in error
    assert error.count("\n") == 1
    assert not Path("store").exists()


def test_an_image_that_is_cut_off_fails_its_point_in_one_line(mine: Path, call: Call) -> None:
    for path in (mine / "one").iterdir():
        path.write_bytes(path.read_bytes()[:-40])
    code, out, _ = call("run", "--json", *MLP_ON_FOLDER, *SHORT, *HERE)
    (one,) = json.loads(out)["runs"]
    assert (code, one["status"]) == (2, "failed")
    assert "is not an image (" in one["error"]
    assert "set dataset.on_error=skip" in one["error"]
    assert "\n" not in one["error"]


def test_skipped_files_are_counted_once_and_in_the_record(mine: Path, call: Call) -> None:
    for place in range(6):
        (mine / "one" / f"{place}.txt").write_text(f"no image {place}")
    asked = (*MLP_ON_FOLDER, *SHORT, *HERE, f"dataset.root={mine}")
    code, out, error = call("run", "--json", *asked, "dataset.on_error=skip")
    assert code == 0
    assert error.count("dataset image_folder: 6 files are not images and were left out") == 1
    record = json.loads((Path(json.loads(out)["runs"][0]["path"]) / "done.json").read_text())
    assert sum(record["result"]["skipped"].values()) > 0
    assert record["stage_config"]["dataset"]["class_names"] == ["nought", "one"]


def test_a_folder_that_moved_finds_what_is_stored(mine: Path, call: Call) -> None:
    asked = (*MLP_ON_FOLDER, *SHORT, *HERE)
    first = json.loads(call("run", "--json", *asked, f"dataset.root={mine}")[1])["runs"][0]
    assert first["status"] == "done", first["error"]
    mine.rename("moved")
    assert json.loads(call("plan", "--json", *asked, "dataset.root=moved")[1])["stored"] == 1
    again = json.loads(call("run", "--json", *asked, "dataset.root=moved")[1])["runs"][0]
    assert (again["signature"], again["metrics"]) == (first["signature"], first["metrics"])
