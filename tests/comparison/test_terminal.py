"""The table fits 100 columns, is plain text without a terminal, and says what it leaves out."""

from io import StringIO

import pytest
from rich.console import Console

from convarium.comparison.rows import compare
from convarium.comparison.terminal import show


def printed(document, width=100, **options):
    stream = StringIO()
    show(document, Console(file=stream, width=width, **options))
    return stream.getvalue()


@pytest.fixture
def document(result, magnitude, kmeans):
    results = [result(seed=seed) for seed in range(3)]
    results += [result(magnitude(0.9), kmeans(), seed=seed, wrong=80, size=2_500) for seed in range(3)]
    results += [result(magnitude(0.95), seed=seed, wrong=21, size=5_000) for seed in range(3)]
    return compare(results, 2)


def test_every_figure_is_there(document):
    text = printed(document)
    lines = " ".join(text.split())
    for part in (
        "basic/lenet5 on mnist5k, 3 seeds",
        "95.00",
        "2,500 40.0x 900 5k",
        "-15.00 (",
        "worse",
        "not shown with 3 seeds",
        "xz -9e makes the dense file 1.11 times smaller",
        "2 points are not measured yet",
    ):
        assert part in lines


@pytest.mark.parametrize("width", [80, 100, 200])
def test_it_fits_as_plain_text(document, width):
    text = printed(document, width)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= width
    assert "40.0x" in text
    assert "not shown with 3 seeds" in text


def test_it_fits_with_latency(result, magnitude):
    timed = {"latency_ms": 12.345, "latency_ratio": 1.5}
    text = printed(compare([result(metrics=timed), result(magnitude(), size=1_000, metrics=timed)], 0))
    assert "12.3" in text
    assert "1.50x" in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_terminal_gets_colour(document):
    assert "\x1b[31mworse" in printed(document, force_terminal=True, color_system="standard")


def test_unequal_numbers_of_seeds_stand_at_their_rows(result, magnitude):
    text = printed(compare([result(), *(result(magnitude(), seed=seed) for seed in range(2))], 0))
    assert "lenet5 on mnist5k " in text
    assert "1 seed " in text
    assert "2 seeds" in text


def test_it_says_what_can_not_be_said(result, magnitude):
    text = " ".join(printed(compare([result(magnitude())], 1)).split())
    assert "its dense network is not among the points" in text
    assert "1 point is not measured yet" in text


def test_nothing_stored_is_said(document):
    assert printed({"reference": "none", "missing": 0, "rows": []}) == "No row to show.\n"
