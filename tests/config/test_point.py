"""A point's config is complete, plain and typed, or refused in one line that names the key to mend."""

import copy
from typing import Any

import pytest

from convarium.config.point import POINT_KEYS, check_config
from convarium.errors import UserError

VALUES: dict[str, Any] = {
    "architecture": {"source": "own", "name": "mlp", "kwargs": {"hidden": [8]}},
    "dataset": {"name": "digits", "channels": 1, "classes": 10, "native_size": 8, "images": {"train": 9}},
    "task": {"name": "classification"},
    "recipe": {"optimizer": "sgd", "lr": 1, "epochs": 2, "batch_size": 4},
    "compression": {},
    "budget": {},
    "measurement": {},
    "seed": 0,
    "runtime": {},
    "tracking": {},
}


def changed(**groups: Any) -> dict[str, Any]:
    values = copy.deepcopy(VALUES)
    for name, value in groups.items():
        values[name] = {**values[name], **value} if isinstance(value, dict) else value
    return values


def test_every_key_is_there_and_the_dataset_fills_the_architecture() -> None:
    config = check_config(VALUES, VALUES)
    assert list(config) == POINT_KEYS
    assert config["architecture"] == {
        "source": "own", "name": "mlp", "in_chans": 1, "num_classes": 10, "img_size": 8, "stem": "native",
        "kwargs": {"hidden": [8]},
    }  # fmt: skip
    assert config["dataset"]["img_size"] == 8
    assert config["recipe"]["lr"] == 1.0
    assert type(config["recipe"]["lr"]) is float
    assert config["runtime"]["store"] == "outputs/store"


def test_the_native_size_written_out_is_the_same_config() -> None:
    assert check_config(changed(dataset={"img_size": 8}), VALUES) == check_config(VALUES, VALUES)


def test_another_image_size_reaches_the_architecture() -> None:
    assert check_config(changed(dataset={"img_size": 16}), VALUES)["architecture"]["img_size"] == 16


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ({"recipe": {"epoch": 3}}, "recipe.epoch: no such key (did you mean epochs?)"),
        ({"recipe": {"epochs": "3"}}, "recipe.epochs='3' is str, expected int of at least 1"),
        ({"recipe": {"optimizer": "adm"}}, "recipe.optimizer=adm: expected sgd, adam, adamw or"),
        ({"seed": -1}, "seed=-1 is out of range"),
        ({"seed": True}, "seed=true is bool"),
        ({"dataset": {"imagse": 1}}, "dataset.imagse: no such key (did you mean images?)"),
        ({"architecture": {"kwargs": {"hiden": 1}}}, "architecture.kwargs.hiden: no such key (did you mean hidden?)"),
        ({"architecture": {"in_chans": 3}}, "architecture.in_chans=3 does not fit dataset.channels=1 of digits"),
        (
            {"runtime": {"devices": 2}, "recipe": {"batch_size": 3}},
            "recipe.batch_size=3 leaves fewer than 2 images for each of runtime.devices=2, expected at least 4",
        ),
        ({"runtime": {"devices": 2, "accelerator": "mps"}}, "runtime.devices=2: there is one device of"),
    ],
)
def test_a_mistake_is_one_line_with_the_key_that_mends_it(groups: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as error:
        check_config(changed(**groups), VALUES)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_key_beside_the_groups_and_a_missing_one_are_refused() -> None:
    with pytest.raises(UserError, match="sed: no such key"):
        check_config({**VALUES, "sed": 1}, VALUES)
    recipe = {key: value for key, value in VALUES["recipe"].items() if key != "epochs"}
    with pytest.raises(UserError, match=r"recipe\.epochs is missing"):
        check_config({**VALUES, "recipe": recipe}, VALUES)
