"""A report tells of each row what the store knows of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convarium.comparison.report.report_document import get_method_family, is_control

Json = dict[str, Any]


@pytest.fixture
def document(report: Path, read: Callable[[Path], Json]) -> Json:
    return read(report)


def test_bytes_are_told_by_kind_as_means_that_add_up_to_the_file(document: Json) -> None:
    assert document["rows"][2]["bytes"] == {"weights": 13_000, "indices": 600, "header": 400}
    for row in document["rows"]:
        assert sum(row["bytes"].values()) == row["metrics"]["file_bytes"]["mean"]


def test_each_seed_has_its_chain_of_stages_and_a_shared_stage_stands_once(document: Json) -> None:
    stages = document["stages"]
    (first, *_), (dense, *_) = document["rows"][2]["chains"], document["rows"][0]["chains"]
    assert [stages[signature]["stage"] for signature in first] == ["train", "compress", "measure", "time"]
    assert first[0] == dense[0]
    assert stages[first[1]]["curves"] == [
        {
            "phase": "compress",
            "epoch": [1, 2, 3],
            "loss": [1, 0.5, 0.33333],
            "validation_accuracy": [0.9, 0.95, 0.96667],
        }
    ]
    assert stages[first[2]]["curves"] == []
    assert stages[first[0]]["seconds"] == 1.5


def test_what_all_was_made_with_is_told_once(document: Json) -> None:
    (setting,) = document["settings"]
    assert setting["host"]["cores"] >= 1
    assert "boot" not in setting["host"]
    assert "torch" in setting["versions"]
    assert {stage["setting"] for stage in document["stages"].values()} == {0}


def test_a_command_joins_seeds_and_leaves_out_where_it_ran(document: Json) -> None:
    assert document["rows"][3]["command"] == (
        "convarium run compression=pruning/random 'measurement.executors=[eager]' seed=0,1,2"
    )
    assert "--html" in document["command"]


@pytest.mark.parametrize(
    ("methods", "expected", "control"),
    [
        ([], "dense", True),
        (["pruning/magnitude"], "pruning", False),
        (["pruning/magnitude", "quantization/kmeans", "pruning/late"], "pruning + quantization", False),
        (["pruning/random"], "control", True),
        (["control/xz"], "control", True),
        (["mine"], "mine", False),
    ],
)
def test_a_family_is_what_kinds_of_methods_a_chain_is_of(methods: list[str], expected: str, control: bool) -> None:
    row = {"compression": [{"method": method} for method in methods], "signatures": ["a"], "dense": ["a"]}
    assert (get_method_family(row), is_control(row)) == (expected, control)


def test_a_network_from_scratch_beside_its_dense_one_is_a_control() -> None:
    assert get_method_family({"compression": [], "signatures": ["a"], "dense": ["b"]}) == "control"
