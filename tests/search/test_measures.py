"""Objectives and limits are named as the tables name them; what decides is never a test image."""

import subprocess
import sys
from typing import Any

import pytest

from convarium.errors import UserError
from convarium.search.limits import compute_excesses, parse_limits
from convarium.search.measures import SCORED_METRICS, find_measure, parse_objectives


@pytest.mark.parametrize(
    ("name", "metric", "is_higher_better", "is_cost"),
    [
        ("accuracy", "validation_accuracy", True, False),
        ("validation_accuracy", "validation_accuracy", True, False),
        ("balanced_accuracy", "validation_balanced_accuracy", True, False),
        ("loss", "validation_loss", False, False),
        ("file_bytes", "file_bytes", False, True),
        ("ratio", "ratio", True, True),
        ("parameters", "parameters", False, True),
        ("nonzeros", "nonzeros", False, True),
        ("macs", "macs", False, True),
    ],
)
def test_a_name_means_a_figure_of_the_score(name: str, metric: str, is_higher_better: bool, is_cost: bool) -> None:
    measure = find_measure(name)
    assert (measure.name, measure.metric) == (name, metric)
    assert (measure.is_higher_better, measure.is_cost) == (is_higher_better, is_cost)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], "search.objectives is empty, expected measures such as [accuracy,file_bytes]"),
        (["acuracy"], "search.objectives: no such measure 'acuracy' (did you mean accuracy?)"),
        (["flops"], "search.objectives: no such measure 'flops' (did you mean macs?)"),
        (
            ["latency_ms"],
            "search.objectives: no such measure 'latency_ms' (there is accuracy, balanced_accuracy, file_bytes, loss,"
            " macs, nonzeros, parameters, ratio)",
        ),
        (["macs", "accuracy", "macs"], "search.objectives: macs is there twice; leave one out"),
        (
            ["accuracy", "validation_accuracy"],
            "search.objectives: validation_accuracy and accuracy are the same figure; leave one out",
        ),
        (
            ["test_accuracy"],
            "search.objectives: test_accuracy: test images are for reporting, never for choosing; write accuracy, which"
            " here is that of the validation images",
        ),
        (
            ["file_bytes", "test_loss"],
            "search.objectives: test_loss: test images are for reporting, never for choosing; write loss, which here is"
            " that of the validation images",
        ),
    ],
)
def test_what_can_be_no_objective_is_one_line(names: list[str], expected: str) -> None:
    with pytest.raises(UserError) as error:
        parse_objectives(names)
    assert str(error.value) == expected


def test_objectives_stay_in_the_order_in_which_they_are_typed() -> None:
    assert [measure.metric for measure in parse_objectives(["macs", "accuracy"])] == ["macs", "validation_accuracy"]


def test_an_evaluator_that_gives_less_is_asked_for_less() -> None:
    with pytest.raises(UserError, match=r"no such measure 'file_bytes' \(there is accuracy\)"):
        parse_objectives(["file_bytes"], offers=("validation_accuracy",))


def test_costs_are_limited_from_above_and_qualities_from_below() -> None:
    limits = parse_limits({"file_bytes": 40_000, "accuracy": 0.97, "loss": 0.5, "ratio": 10, "macs": None})
    assert [(limit.measure.metric, limit.value) for limit in limits] == [
        ("file_bytes", 40_000), ("validation_accuracy", 0.97), ("validation_loss", 0.5), ("ratio", 10),
    ]  # fmt: skip
    at, below, above = ([limit.is_met(limit.value * factor) for limit in limits] for factor in (1, 0.99, 1.01))
    assert at == [True] * 4
    assert below == [True, False, True, False]
    assert above == [False, True, False, True]
    assert limits[0].compute_excess(50_000) == 0.25
    assert limits[3].compute_excess(5) == 0.5


def test_what_is_not_known_before_training_exceeds_nothing_yet() -> None:
    limits = parse_limits({"accuracy": 0.5, "macs": 100})
    assert compute_excesses(limits, {"macs": 150, "parameters": 7}) == {"validation_accuracy": None, "macs": 0.5}
    assert compute_excesses(limits, {"macs": 50, "validation_accuracy": 0.75}) == {
        "validation_accuracy": -0.5, "macs": -0.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"accuracy": 1.5}, "accuracy=1.5: no network meets it, expected a share of 0..1 such as 0.97"),
        ({"accuracy": "97%"}, "accuracy='97%': expected a number; write search.constraints.accuracy=0.97"),
        ({"file_bytes": 0.5}, "file_bytes=0.5: no network meets it; write more"),
        ({"file_bytes": "40k"}, "file_bytes='40k': expected a number; write search.constraints.file_bytes=40000"),
        ({"macs": -1}, "macs=-1: no network meets it; write more"),
        ({"loss": 0}, "loss=0: no network meets it; write more"),
        ({"ratio": 0}, "ratio=0: every network meets it; leave it out, or write more"),
        ({"parameters": True}, "parameters=true: expected a number"),
        ({"parameters": float("inf")}, "parameters=inf: expected a number"),
        ({"parameters": float("nan")}, "parameters=nan: expected a number"),
        ({"parameters": [1, 2]}, "parameters=[1, 2]: expected a number"),
    ],
)
def test_a_limit_that_decides_nothing_is_one_line(values: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError) as error:
        parse_limits(values)
    assert str(error.value) == f"search.constraints.{expected}"


def test_a_figure_is_limited_once() -> None:
    with pytest.raises(UserError) as error:
        parse_limits({"accuracy": 0.9, "validation_accuracy": 0.95})
    assert str(error.value) == (
        "search.constraints.validation_accuracy and search.constraints.accuracy limit the same figure; leave one out"
    )
    with pytest.raises(UserError, match=r"^search\.constraints: no such measure 'bytes' \(did you mean file_bytes\?\)"):
        parse_limits({"bytes": 40_000})
    with pytest.raises(UserError, match=r"^search\.constraints: test_accuracy: test images are for reporting"):
        parse_limits({"test_accuracy": 0.9})


def test_to_name_them_imports_nothing_heavy() -> None:
    code = (
        "import sys; import convarium.search.limits, convarium.search.evaluator, convarium.search.evaluators.full,"
        " convarium.search.curve; print({'torch', 'hydra', 'optuna', 'numpy'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_every_figure_of_a_score_can_be_named() -> None:
    assert {find_measure(metric).metric for metric in SCORED_METRICS} == set(SCORED_METRICS)
