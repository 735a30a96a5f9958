"""`convarium show` tells the accuracy of each class by its name."""

from pathlib import Path
from typing import Any

import pytest

from convarium.cli.class_accuracy import count_right_by_class, format_class_accuracies
from convarium.cli.skipped_files import format_skipped_files
from convarium.planning.plan import Node, Plan

COUNTS = {"images": [10, 0], "right": [9, 0]}


class Kept:
    """A store of records."""

    def __init__(self, *records: dict[str, Any]) -> None:
        self.records = records

    def find_children(self, signature: str) -> list[dict[str, Any]]:
        return [record for record in self.records if signature in record["parents"]]

    def find_record(self, signature: str) -> dict[str, Any] | None:
        return next((record for record in self.records if record["signature"] == signature), None)


def measurement(dataset: dict[str, Any], started: str = "1", right: int = 9) -> dict[str, Any]:
    counts = {"images": [10, 0], "right": [right, 0]}
    return {
        "signature": f"m{started}", "stage": "measure", "parents": ["net", "net"], "started": started,
        "stage_config": {"dataset": dataset}, "result": {"metrics": {}, "per_class": counts, "skipped": {"test": 2}},
    }  # fmt: skip


def test_names_are_those_of_the_images_folders() -> None:
    found = measurement({"name": "image_folder", "classes": 2, "class_names": ["cat", "dog"]})
    assert format_class_accuracies(count_right_by_class(found, Kept())) == {
        "cat": "90.00 % (9 of 10)",
        "dog": "no test images",
    }


def test_a_network_shows_its_latest_measurement() -> None:
    data = {"name": "digits", "classes": 2}
    store = Kept(measurement(data, "2", right=5), measurement(data, "1"))
    assert count_right_by_class({"signature": "net", "stage": "train"}, store) == [
        {"name": "0", "images": 10, "right": 5}, {"name": "1", "images": 0, "right": 0},
    ]  # fmt: skip
    assert count_right_by_class({"signature": "other", "stage": "train"}, store) == []


def test_known_sets_are_named_by_their_yaml(here: Path, write: Any) -> None:
    assert count_right_by_class(measurement({"name": "fashion_mnist", "classes": 2}), Kept())[0]["name"] == "0"
    write("conf/dataset/mine.yaml", "name: mine\n_class_names_: [yes_, no_]\n")
    assert count_right_by_class(measurement({"name": "mine", "classes": 2}), Kept())[1]["name"] == "no_"
    counts = {"images": [1] * 10, "right": [1] * 10}
    whole = measurement({"name": "fashion_mnist", "classes": 10})
    whole["result"]["per_class"] = counts
    assert count_right_by_class(whole, Kept())[9]["name"] == "ankle boot"


@pytest.mark.parametrize("names", [1, 2])
def test_what_was_left_out_is_said_once(names: int) -> None:
    data = {"name": "image_folder", "fingerprint": "0", "classes": 2}
    store = Kept(*(measurement(data, str(place)) for place in range(names)))
    nodes = {f"m{place}": Node("measure", 1, {"dataset": data}, (), "0", "n") for place in range(names)}
    assert format_skipped_files(Plan(nodes, ()), store) == [
        "dataset image_folder: 2 files are not images and were left out (test 2)"
    ]
