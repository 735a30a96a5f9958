"""Rows are chosen by conditions on means, and the best by validation."""

import pytest

from convarium.comparison.result import Refused
from convarium.comparison.rows import compare
from convarium.comparison.select import best, where
from convarium.errors import UserError


@pytest.fixture
def document(result, magnitude):
    sizes = {0.5: 60_000, 0.9: 20_000, 0.95: 10_000}
    results = [result(wrong=10)]
    results += [result(magnitude(s), size=size, wrong=round(40 * s)) for s, size in sizes.items()]
    return compare(results, 2)


def names(document):
    return [row["label"] for row in document["rows"]]


@pytest.mark.parametrize(
    ("condition", "left"),
    [
        ("file_bytes<20000", ["magnitude 0.95"]),
        ("file_bytes <= 2e4", ["magnitude 0.9", "magnitude 0.95"]),
        ("ratio>=5", ["magnitude 0.9", "magnitude 0.95"]),
        ("file_bytes==60000", ["magnitude 0.5"]),
        ("label!=dense", ["magnitude 0.5", "magnitude 0.9", "magnitude 0.95"]),
        ("file_bytes<1", []),
    ],
)
def test_a_condition_keeps_the_rows_that_meet_it(document, condition, left):
    chosen = where(document, [condition])
    assert names(chosen) == left
    assert chosen["missing"] == 2


def test_all_conditions_must_be_met(document):
    assert names(where(document, ["file_bytes<50000", "file_bytes>15000"])) == ["magnitude 0.9"]


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ("file_byte<5", "did you mean file_bytes"),
        ("latency_ms<5", r"latency_ms was not measured in any row; measurement.executors=\[eager\] measures it"),
        ("file_bytes<small", "'small' is not a number"),
        ("file_bytes", "write a metric"),
        ("file_bytes=5", "write a metric"),
        ("dataset<5", "dataset is a name"),
    ],
)
def test_a_mistake_is_told_in_one_line(document, condition, told):
    with pytest.raises(UserError, match=told) as caught:
        where(document, [condition])
    assert "\n" not in str(caught.value)


def test_a_metric_that_some_rows_lack_keeps_the_others(result, magnitude):
    document = compare([result(), result(magnitude(), metrics={"latency_ms": 3.0})], 0)
    assert names(where(document, ["latency_ms<5"])) == ["magnitude 0.9"]


def test_the_best_accuracy_is_chosen_on_validation(result, magnitude):
    lucky = result(magnitude(), metrics={"accuracy": 1.0, "validation_accuracy": 0.5})
    assert names(best(compare([lucky, result()], 0), "accuracy")) == ["dense"]


@pytest.mark.parametrize(
    ("choose", "marked"),
    [
        (lambda document: where(document, ["accuracy>0.9"]), True),
        (lambda document: where(document, ["loss<1"]), True),
        (lambda document: best(document, "loss"), True),
        (lambda document: best(where(document, ["accuracy>0.9"]), "ratio"), True),
        (lambda document: where(document, ["validation_accuracy>0.9", "file_bytes<1e6"]), False),
        (lambda document: best(document, "accuracy"), False),
    ],
)
def test_what_was_chosen_by_a_figure_of_the_test_images_is_marked(document, choose, marked):
    chosen = choose(document)
    assert chosen["rows"]
    assert all(("chosen_on_test" in row["audit"]) == marked for row in chosen["rows"])
    assert ("chosen_on_test" in chosen["audit"]) == marked


def test_rows_that_can_t_be_made_meet_no_condition_and_are_never_best(result, magnitude):
    refused = [Refused(result(magnitude()).config, (), 0, "not installed")]
    document = compare([result()], 0, refused=refused)
    assert names(where(document, ["file_bytes>0"])) == names(best(document, "ratio")) == ["dense"]


def test_small_is_best_for_bytes_and_large_for_ratios(document):
    assert names(best(document, "file_bytes")) == names(best(document, "ratio")) == ["magnitude 0.95"]
    assert names(best(document, "loss")) == ["dense"]


def test_each_dataset_has_its_best(result):
    other = {"dataset": {"name": "digits", "root": None}}
    rows = best(compare([result(), result(config=other, wrong=0)], 0), "accuracy")["rows"]
    assert {row["dataset"] for row in rows} == {"digits", "mnist5k"}


def test_best_of_nothing_is_nothing_and_of_an_unknown_metric_a_mistake(document):
    assert best(compare([], 0), "accuracy")["rows"] == []
    with pytest.raises(UserError, match="did you mean"):
        best(document, "acuracy")
    with pytest.raises(UserError, match="not measured"):
        best(document, "latency_ms")
