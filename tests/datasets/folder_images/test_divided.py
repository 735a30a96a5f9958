"""A folder that is already split is used as it is split, however its parts are spelt, or refused."""

import json
from pathlib import Path

import pytest

from command_lines import HERE, MLP_ON_FOLDER, Call
from convarium.compose.points import compose_points
from convarium.datasets.folder_images import list_folder_images
from convarium.datasets.folder_images.class_folders import read_folder_layout
from convarium.errors import UserError
from convarium.planning.stage_graph import build_plan

ASKED = (*MLP_ON_FOLDER, "architecture.kwargs.hidden=[8]", "recipe.epochs=1", "recipe.warmup_epochs=0")


def grey(path: Path, level: int) -> None:
    """An image whose bytes no library decides."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"P5 4 4 255\n" + bytes([level] * 16))


def folders(root: Path, *names: str, count: int = 3) -> Path:
    for place, name in enumerate(names):
        for number in range(count):
            grey(root / name / f"{number}.pgm", place * count + number)
    return root


def split(root: Path, *tops: str, classes: tuple[str, ...] = ("cat", "dog"), count: int = 3) -> Path:
    return folders(root, *(f"{top}/{name}" for top in tops for name in classes), count=count)


SPELT = {
    ("train", "valid", "test"): ("train", "validation", "test"),
    ("Train", "Val", "Test"): ("train", "validation", "test"),
    ("training", "validation", "testing"): ("train", "validation", "test"),
    ("train", "dev", "test"): ("train", "validation", "test"),
    ("TRAINING", "EVALUATION", "TESTING"): ("train", "validation", "test"),
    ("training_set", "test_set"): ("train", "test"),
    ("Train Images", "Test Images"): ("train", "test"),
    ("trainset", "valset", "testset"): ("train", "validation", "test"),
    ("TRAIN", "EVAL"): ("train", "validation"),
    ("Training",): ("train",),
}


@pytest.mark.parametrize("tops", SPELT, ids="-".join)
def test_parts_are_known_by_their_usual_names_in_any_case(tops: tuple[str, ...], tmp_path: Path) -> None:
    found = read_folder_layout(split(tmp_path, *tops))
    assert found.classes == ("cat", "dog")
    assert {home.path.parent.name: home.part for home in found.class_folders} == dict(
        zip(tops, SPELT[tops], strict=True)
    )


def test_how_the_parts_are_spelt_makes_no_other_data(tmp_path: Path) -> None:
    first = list_folder_images(split(tmp_path / "a", "train", "val", "test"), "fail")
    other = list_folder_images(split(tmp_path / "b", "Training", "dev", "TEST"), "fail")
    assert (other.fingerprint, other.classes) == (first.fingerprint, first.classes)
    assert [len(other.parts[part]) for part in ("train", "validation", "test")] == [6, 6, 6]


@pytest.mark.parametrize(
    "names", [("train", "car"), ("test", "exam"), ("valid", "invalid"), ("dev", "ops", "qa"), ("evaluation", "Paper")]
)
def test_one_such_name_among_others_is_a_class(names: tuple[str, ...], tmp_path: Path) -> None:
    found = read_folder_layout(folders(tmp_path, *names))
    assert found.classes == tuple(sorted(names))
    assert {home.part for home in found.class_folders} == {""}


def test_a_named_class_is_a_class_where_its_folder_holds_images(tmp_path: Path) -> None:
    found = read_folder_layout(folders(tmp_path / "a", "valid"), ("invalid", "valid"))
    assert [(home.part, home.label) for home in found.class_folders] == [("", 1)]
    divided = read_folder_layout(split(tmp_path / "b", "train", classes=("train", "car")), ("car", "train"))
    assert {home.part for home in divided.class_folders} == {"train"}


REFUSED = {
    "beside a class": (("train/cat", "val/cat", "eel"), "holds train and val, parts of a split, beside 'eel'"),
    "beside what is not a class": (("Train/cat", "Test/cat", "readme files"), "holds Test and Train, parts of a split"),
    "one part twice": (("train/cat", "Training/cat", "test/cat"), "holds both Training and train: keep one of them"),
    "two validations": (("train/cat", "valid/cat", "dev/cat"), "holds both dev and valid: keep one of them"),
    "no train": (("dev/cat", "testing/cat"), "holds dev and testing, but no train"),
    "classes that differ": (("Train/cat", "Train/dog", "Test/cat", "Test/eel"), "Test holds the class 'eel', which"),
    "the other way round": (
        ("cat/train", "cat/test", "dog/train", "dog/test"),
        "cat is divided into test and train: put them above the classes, as <root>/train/cat/",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_split_that_can_t_be_used_is_refused(kind: str, tmp_path: Path) -> None:
    names, said = REFUSED[kind]
    with pytest.raises(UserError) as error:
        read_folder_layout(folders(tmp_path, *names))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_folders_that_were_read_before_keep_their_fingerprints(tmp_path: Path) -> None:
    plain = list_folder_images(folders(tmp_path / "plain", "cat", "dog", "train"), "fail")
    divided = list_folder_images(split(tmp_path / "divided", "train", "validation", "test"), "fail")
    assert (plain.fingerprint, divided.fingerprint) == ("e80b82c85ba03614", "69b35ce306de59c4")


def test_folders_that_were_read_before_keep_their_signatures(here: Path) -> None:
    folders(here / "plain", "cat", "dog", "train")
    split(here / "divided", "train", "val")
    signatures = []
    for root in ("plain", "divided"):
        points = compose_points([*MLP_ON_FOLDER, f"dataset.root={root}", "compression=magnitude"]).check_points()
        signatures.append(sorted(build_plan(points).nodes))
    assert signatures == [
        ["227c560312e9", "a8c8a0ba56b3", "c4e91eb630e6"], ["106bd39a1551", "ac7bc373d42a", "cb4632abfba3"],
    ]  # fmt: skip


def test_plan_and_run_say_what_was_found(here: Path, call: Call) -> None:
    split(here / "mine", "Train", "Valid", "Test", classes=("cat", "dog"), count=4)
    line = "dataset image_folder in mine: 2 classes (cat, dog); images: train 8, validation 8, test 8\n"
    code, out, error = call("plan", "--json", *ASKED, *HERE, "seed=0,1")
    assert (code, error) == (0, line)
    (told,) = json.loads(out)["datasets"]
    assert (told["class_names"], told["images"]) == (["cat", "dog"], {"train": 8, "validation": 8, "test": 8})
    code, out, error = call("run", "--json", *ASKED, *HERE)
    assert code == 0, error
    assert error.count(line) == 1
    assert json.loads(out)["datasets"] == [told]


def test_of_a_published_set_nothing_is_found(call: Call) -> None:
    code, out, error = call("plan", "--json", "--fast", *HERE)
    assert (code, error, json.loads(out)["datasets"]) == (0, "", [])
