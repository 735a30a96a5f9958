"""The table fits 100 columns, is plain text without a terminal, and says what it leaves out."""

from io import StringIO

import pytest
from rich.console import Console

from convarium.comparison.comparison_document import compare_results
from convarium.comparison.result import RefusedPoint
from convarium.comparison.terminal_table import print_comparison


def printed(document, width=100, **options):
    stream = StringIO()
    print_comparison(document, Console(file=stream, width=width, **options))
    return stream.getvalue()


@pytest.fixture
def document(result, magnitude, kmeans):
    results = [result(seed=seed) for seed in range(3)]
    results += [result(magnitude(0.9), kmeans(), seed=seed, wrong=80, size=2_500) for seed in range(3)]
    results += [result(magnitude(0.95), seed=seed, wrong=21, size=5_000) for seed in range(3)]
    return compare_results(results, 2)


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


@pytest.mark.parametrize("width", [40, 50, 60, 70])
def test_a_narrow_terminal_leaves_columns_out_and_says_which(document, width):
    text = printed(document, width)
    table, _, told = text.partition("not shown at ")
    table = table.partition("seeds")[2]
    assert max(map(len, text.splitlines())) <= width
    assert told.startswith(f"{width} columns: ")
    for part in ("magnitude", "0.95", "kmeans", "95.00", "94.75"):
        assert part in table
    told = " ".join(told.partition("test acc %:")[0].split())
    for heading, figure in {"ratio": "40.0x", "Δ acc (pp)": "-15.00 (", "MACs": " 5k", "bytes": "100,000"}.items():
        assert (figure in table) == (heading not in told)


@pytest.mark.parametrize("width", [80, 100, 200])
def test_it_fits_as_plain_text(document, width):
    text = printed(document, width)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= width
    assert "40.0x" in text
    assert "not shown with 3 seeds" in text


def test_it_fits_with_latency(result, magnitude):
    timed = {"latency_ms": 12.345, "speedup": 1.5}
    text = printed(compare_results([result(metrics=timed), result(magnitude(), size=1_000, metrics=timed)], 0))
    assert "12.3" in text
    assert "1.50x" in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_terminal_gets_colour(document):
    assert "\x1b[31mworse" in printed(document, force_terminal=True, color_system="standard")


def test_unequal_numbers_of_seeds_stand_at_their_rows(result, magnitude):
    text = printed(compare_results([result(), *(result(magnitude(), seed=seed) for seed in range(2))], 0))
    assert "lenet5 on mnist5k " in text
    assert "1 seed " in text
    assert "2 seeds" in text


def test_it_says_what_can_not_be_said(result, magnitude):
    text = " ".join(printed(compare_results([result(magnitude())], 1)).split())
    assert "all rows, no dense: its dense network is not measured" in text
    assert "1 point is not measured yet" in text


def test_nothing_stored_is_said(document):
    assert printed(compare_results([], 0)) == "No row to show.\n"


def test_audit_codes_are_words_at_the_rows_where_there_is_room_else_letters(result, magnitude):
    results = [result(seed=seed) for seed in range(3)] + [result(magnitude(), seed=seed) for seed in range(2)]
    narrow = printed(compare_results(results, 0), 80)
    assert "\nab " in narrow
    assert "\na, few seeds: fewer than 3 seeds" in narrow
    assert "other data" not in narrow
    wide = printed(compare_results(results, 0), 130)
    table, _, notes = wide.partition("test acc %:")
    assert "few seeds" in table
    assert "\nab " not in wide
    assert "\nfew seeds: fewer than 3 seeds" in notes
    assert max(map(len, wide.splitlines())) <= 130


def test_figures_are_rounded_as_on_the_report_s_page(result):
    results = [result(seed=seed, size=size) for seed, size in enumerate((3610, 3611))]
    assert "3,611" in printed(compare_results(results, 0))


def test_rows_that_can_t_be_made_show_their_reason(result, magnitude, document):
    refused = [RefusedPoint(result(magnitude(0.99)).config, (), 0, "not reachable (least 9,120 bytes)")]
    text = printed(compare_results([result()], 0, refused=refused), 80)
    assert "not reachable" in text
    assert "magnitude 0.99" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("width", [80, 100])
def test_the_margin_s_verdict_fits(result, magnitude, width):
    results = [result(seed=seed) for seed in range(3)] + [result(magnitude(), seed=seed, wrong=28) for seed in range(3)]
    text = printed(compare_results(results, 0, margin=0.09), width)
    assert "worse, by < 9" in text
    same = [result(seed=seed) for seed in range(3)] + [result(magnitude(), seed=seed) for seed in range(3)]
    assert "no worse than 9" in printed(compare_results(same, 0, margin=0.09), width)


def test_all_right_prints_an_interval_and_so_does_no_difference(result, magnitude):
    results = [result(seed=seed, wrong=0) for seed in range(3)]
    results += [result(magnitude(), seed=seed, wrong=0) for seed in range(3)]
    text = printed(compare_results(results, 0))
    assert "99.0..100.0" in text
    assert "+0.00 (-0.95..+0.95)" in text


def test_one_seed_is_said_to_be_no_test(result, magnitude):
    text = " ".join(printed(compare_results([result(wrong=100), result(magnitude(), wrong=20)], 0)).split())
    assert "+20.00 (" in text
    assert "no test with 1 seed" in text
    assert "not shown with" not in text
