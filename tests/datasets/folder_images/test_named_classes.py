"""A network of many classes judged on images of some: `dataset.class_names` gives the labels, not the folder."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from command_lines import CliResult
from convarium.architectures import factory
from convarium.datasets.folder_images import list_folder_images
from convarium.datasets.folder_images.class_folders import read_folder_layout
from convarium.errors import UserError
from real_images import write_digit_folder

NAMES = ("eel", "one", "cat", "nought", "dog")


@pytest.fixture
def photos(here: Path) -> Path:
    """Images of two of five classes for validation and test, none to train on."""
    for part, count in (("val", 3), ("test", 9)):
        write_digit_folder(here / "photos" / part, {"nought": count, "one": count})
    (here / "names.txt").write_text("\n".join(NAMES) + "\n")
    return here / "photos"


def test_labels_follow_the_names_and_classes_may_be_missing(photos: Path) -> None:
    found = list_folder_images(photos, "fail", class_names=NAMES)
    assert found.classes == NAMES
    assert {part: sorted({one.label for one in found.parts[part]}) for part in found.parts} == {
        "train": [], "validation": [1, 3], "test": [1, 3],
    }  # fmt: skip


def test_names_that_are_the_folders_own_change_nothing(here: Path) -> None:
    root = write_digit_folder(here / "all", {"nought": 12, "one": 6})
    assert list_folder_images(root, "fail", class_names=("nought", "one")) == list_folder_images(root, "fail")
    assert (
        list_folder_images(root, "fail", class_names=("one", "nought")).fingerprint
        != list_folder_images(root, "fail").fingerprint
    )


def test_an_undivided_folder_is_split_as_ever(here: Path) -> None:
    root = write_digit_folder(here / "all", {"nought": 20, "one": 10})
    found = list_folder_images(root, "fail", class_names=NAMES)
    assert [sum(one.label == 3 for one in found.parts[part]) for part in ("train", "validation", "test")] == [14, 2, 4]


def test_a_network_of_more_classes_is_adopted_and_compressed_but_not_trained(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from convarium.cli import main

    kwargs = {"hidden": [8], "activation": "relu"}
    described = {"source": "own", "name": "mlp", "in_chans": 1, "num_classes": 5, "img_size": 8, "stem": "native"}
    torch.save(factory.build_architecture({**described, "kwargs": kwargs}).state_dict(), "net.pth")
    data = ("dataset=image_folder", "dataset.root=photos", "dataset.class_names=names.txt", "dataset.img_size=8")
    asked = (*data, "dataset.channels=1", "architecture=mlp", "architecture.kwargs.hidden=[8]", "runtime.threads=1")

    def call(*arguments: str) -> CliResult:
        return main((*arguments, *asked)), *capsys.readouterr()

    code, out, error = call("adopt", "net.pth", "--json", "dataset.mean=[0.5]", "dataset.std=[0.5]")
    assert code == 0, error
    (dense,) = json.loads(out)["runs"]
    adopted = (f"architecture.weights={dense['signature']}", "hydra/launcher=basic", "compression=magnitude")
    code, out, error = call("run", "--json", *adopted, "compression.magnitude.epochs=0")
    assert (code, json.loads(out)["runs"][0]["metrics"]["dense_bytes"]) == (0, dense["metrics"]["file_bytes"])
    code, _, error = call("run", *adopted, "compression.magnitude.epochs=1")
    assert code == 2
    assert "dataset.root=photos holds no train: nothing can be trained on it" in error
    for command in (adopted, ()):
        code, out, _ = call("plan", "--json", *command)
        assert code == 2
        (invalid,) = json.loads(out)["invalid"]
        assert invalid["error"] == "dataset.root=photos holds no train: nothing can be trained on it"


MISTAKES: dict[str, tuple[Callable[[Path], object], str]] = {
    "another class": (lambda root: write_digit_folder(root / "test", {"ox": 1}), "test holds 'ox', which is none of"),
    "test alone": (lambda root: (root / "val").rename(root.parent / "val"), "holds test alone: without train it needs"),
    "two validations": (lambda root: (root / "validation").mkdir(), "holds both val and validation"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_folder_that_does_not_fit_its_names(kind: str, photos: Path) -> None:
    change, said = MISTAKES[kind]
    change(photos)
    with pytest.raises(UserError, match=said):
        read_folder_layout(photos, NAMES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "names.txt: No such file or directory; expected a file with a class on each line"),
        ("cat\n\ndog\n", "names.txt: has an empty line, or a name twice"),
        ("cat\ncat\n", "names.txt: has an empty line, or a name twice"),
    ],
)
def test_a_file_of_names_that_is_none(
    text: str | None, said: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from convarium.cli import main

    Path("names.txt").write_text(text) if text else Path("names.txt").unlink()
    asked = ("dataset=image_folder", "dataset.root=photos", "dataset.class_names=names.txt", "architecture=mlp")
    assert main(("plan", *asked)) == 2
    assert said in capsys.readouterr().err
