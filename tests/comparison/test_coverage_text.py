"""What no method touches is told in a line, where it is more than a trifle."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from convarium.comparison.comparison_document import compare_results
from convarium.comparison.coverage_text import describe_coverage
from convarium.comparison.terminal_table import print_comparison


def printed(*results) -> str:
    stream = StringIO()
    print_comparison(compare_results(results, 0), Console(file=stream, width=100))
    return " ".join(stream.getvalue().split())


@pytest.mark.parametrize(
    ("coverage", "uncovered", "said"),
    [
        (1.0, {}, None),
        (0.9951, {"Swin": 0.0049}, None),
        (0.7586, {"MultiheadAttention": 0.2411, "VisionTransformer": 0.0004}, "75.9 % of its weights"),
        (0.7586, {"MultiheadAttention": 0.2411, "VisionTransformer": 0.0004}, "(MultiheadAttention 24.1 %)"),
        (0.0, {"LSTM": 0.8, "Embedding": 0.2}, "0.0 % of its weights; the rest stays as it is (LSTM 80.0 %, Embedding"),
    ],
)
def test_the_share_and_the_kinds_of_the_rest(coverage: float, uncovered: dict[str, float], said: str | None) -> None:
    line = describe_coverage(coverage, uncovered)
    assert (line is None) if said is None else (line is not None and said in line)


def test_the_table_says_it_once_a_network_and_its_json_has_the_number(result, magnitude) -> None:
    told = {"coverage": 0.25, "uncovered_shares": {"LSTM": 0.75}}
    results = [replace(result(seed=seed), **told) for seed in range(2)] + [replace(result(magnitude()), **told)]
    text = printed(*results)
    line = "basic/lenet5: methods work on 25.0 % of its weights; the rest stays as it is (LSTM 75.0 %)."
    assert text.count(line) == 1
    assert [row["coverage"] for row in compare_results(results, 0)["rows"]] == [0.25, 0.25]
    assert compare_results(results, 0)["rows"][0]["uncovered"] == {"LSTM": 0.75}


def test_the_table_of_a_network_that_is_covered_or_was_measured_before_there_was_a_number_is_as_it_was(result) -> None:
    assert printed(replace(result(), coverage=1.0)) == printed(result())
    assert compare_results([result()], 0)["rows"][0]["coverage"] is None


def test_nothing_that_a_method_works_on_is_said_too(result) -> None:
    text = printed(replace(result(), coverage=0.0, uncovered_shares={"LSTM": 1.0}))
    assert "methods work on 0.0 % of its weights" in text
