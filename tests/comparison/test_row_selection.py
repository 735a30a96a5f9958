"""Rows are chosen by conditions on means, and the best by validation."""

import pytest

from convarium.comparison.comparison_document import compare_results
from convarium.comparison.result import RefusedPoint
from convarium.comparison.row_selection import select_best_rows, select_rows
from convarium.errors import UserError


@pytest.fixture
def document(result, magnitude):
    sizes = {0.5: 60_000, 0.9: 20_000, 0.95: 10_000}
    results = [result(wrong=10)]
    results += [result(magnitude(s), size=size, wrong=round(40 * s)) for s, size in sizes.items()]
    return compare_results(results, 2)


def names(document):
    return [row["label"] for row in document["rows"]]


@pytest.mark.parametrize(
    ("condition", "left"),
    [
        ("file_bytes<20000", ["magnitude 0.95"]),
        ("file_bytes <= 2e4", ["magnitude 0.9", "magnitude 0.95"]),
        ("ratio>=5", ["magnitude 0.9", "magnitude 0.95"]),
        ("file_bytes==60000", ["magnitude 0.5"]),
        ("file_bytes=60000", ["magnitude 0.5"]),
        ("label = magnitude 0.9", ["magnitude 0.9"]),
        ("label!=dense", ["magnitude 0.5", "magnitude 0.9", "magnitude 0.95"]),
        ("file_bytes<1", []),
    ],
)
def test_a_condition_keeps_the_rows_that_meet_it(document, condition, left):
    chosen = select_rows(document, [condition])
    assert names(chosen) == left
    assert chosen["missing"] == 2


def test_all_conditions_must_be_met(document):
    assert names(select_rows(document, ["file_bytes<50000", "file_bytes>15000"])) == ["magnitude 0.9"]


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ("file_byte<5", "did you mean file_bytes"),
        ("latency_ms<5", r"latency_ms was not measured in any row; measurement.executors=\[eager\] measures it"),
        ("file_bytes<small", "'small' is not a number"),
        ("file_bytes<nan", "'nan' is not a number"),
        ("file_bytes", "'file_bytes': write a figure or key, one of <= .* and a value"),
        ("file_bytes=<5", "'<5' is not a number"),
        ("dataset<5", "dataset is a name"),
        ("label>small", "label is a name"),
    ],
)
def test_a_mistake_is_told_in_one_line(document, condition, told):
    with pytest.raises(UserError, match=told) as caught:
        select_rows(document, [condition])
    assert "\n" not in str(caught.value)


def test_a_metric_that_some_rows_lack_keeps_the_others(result, magnitude):
    document = compare_results([result(), result(magnitude(), metrics={"latency_ms": 3.0})], 0)
    assert names(select_rows(document, ["latency_ms<5"])) == ["magnitude 0.9"]


def test_the_best_accuracy_is_chosen_on_validation(result, magnitude):
    lucky = result(magnitude(), metrics={"accuracy": 1.0, "validation_accuracy": 0.5})
    assert names(select_best_rows(compare_results([lucky, result()], 0), "accuracy")) == ["dense"]


@pytest.mark.parametrize(
    ("choose", "marked"),
    [
        (lambda document: select_rows(document, ["accuracy>0.9"]), True),
        (lambda document: select_rows(document, ["loss<1"]), True),
        (lambda document: select_best_rows(document, "loss"), True),
        (lambda document: select_best_rows(select_rows(document, ["accuracy>0.9"]), "ratio"), True),
        (lambda document: select_rows(document, ["validation_accuracy>0.9", "file_bytes<1e6"]), False),
        (lambda document: select_best_rows(document, "accuracy"), False),
    ],
)
def test_what_was_chosen_by_a_figure_of_the_test_images_is_marked(document, choose, marked):
    chosen = choose(document)
    assert chosen["rows"]
    assert all(("chosen_on_test" in row["audit"]) == marked for row in chosen["rows"])
    assert ("chosen_on_test" in chosen["audit"]) == marked


def test_rows_that_can_t_be_made_meet_no_condition_and_are_never_best(result, magnitude):
    refused = [RefusedPoint(result(magnitude()).config, (), 0, "not installed")]
    document = compare_results([result()], 0, refused=refused)
    assert names(select_rows(document, ["file_bytes>0"])) == names(select_best_rows(document, "ratio")) == ["dense"]


def test_small_is_best_for_bytes_and_large_for_ratios(document):
    assert (
        names(select_best_rows(document, "file_bytes"))
        == names(select_best_rows(document, "ratio"))
        == ["magnitude 0.95"]
    )
    assert names(select_best_rows(document, "loss")) == ["dense"]


def test_each_dataset_has_its_best(result):
    other = {"dataset": {"name": "digits", "root": None}}
    rows = select_best_rows(compare_results([result(), result(config=other, wrong=0)], 0), "accuracy")["rows"]
    assert {row["dataset"] for row in rows} == {"digits", "mnist5k"}


def test_best_of_nothing_is_nothing_and_of_an_unknown_metric_a_mistake(document):
    assert select_best_rows(compare_results([], 0), "accuracy")["rows"] == []
    with pytest.raises(UserError, match="did you mean"):
        select_best_rows(document, "acuracy")
    with pytest.raises(UserError, match="not measured"):
        select_best_rows(document, "latency_ms")
