"""Where test classes are uneven, balanced accuracy stands beside accuracy."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from convarium.comparison import row_selection
from convarium.comparison.comparison_document import compare_results
from convarium.comparison.terminal_table import print_comparison


def printed(document):
    stream = StringIO()
    print_comparison(document, Console(file=stream, width=100))
    return " ".join(stream.getvalue().split())


@pytest.fixture
def of_classes(result):
    figures = {"balanced_accuracy": 0.8125, "validation_balanced_accuracy": 0.8}
    return lambda *sizes, **options: replace(result(metrics=figures, **options), images_per_class=sizes)


@pytest.mark.parametrize(
    ("sizes", "is_uneven"), [((300, 201), False), ((300, 199), True), ((400, 0), True), ((), False)]
)
def test_classes_are_uneven_where_the_largest_is_one_and_a_half_times_the_smallest(of_classes, sizes, is_uneven):
    document = compare_results([of_classes(*sizes)], 0)
    assert ("uneven_classes" in document["rows"][0]["audit"]) == is_uneven
    assert ("bal." in printed(document)) == is_uneven
    assert ("81.25" in printed(document)) == is_uneven


def test_the_best_balanced_accuracy_is_chosen_on_validation(of_classes, result):
    better = {"balanced_accuracy": 0.7, "validation_balanced_accuracy": 0.9}
    other = replace(result(config={"recipe": {"epochs": 9, "lr": 0.1}}, metrics=better), images_per_class=(300, 100))
    (row,) = row_selection.select_best_rows(compare_results([of_classes(300, 100), other], 0), "balanced_accuracy")[
        "rows"
    ]
    assert row["metrics"]["balanced_accuracy"]["mean"] == 0.7
    assert "chosen_on_test" not in row["audit"]
