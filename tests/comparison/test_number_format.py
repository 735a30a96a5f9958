"""Figures of the terminal are rounded as on the report's page: JavaScript's toFixed and toPrecision."""

from convarium.comparison.number_format import format_ratio, format_rounded, format_short_count, format_significant


def test_a_half_goes_away_from_zero() -> None:
    assert [format_rounded(value) for value in (3610.5, 3611.5, -0.5)] == ["3,611", "3,612", "-1"]
    assert [format_rounded(value, 2, "+") for value in (0.125, -0.125, 1.005)] == ["+0.13", "-0.13", "+1.00"]


def test_significant_digits_have_no_zeros_at_their_end() -> None:
    assert [format_significant(value) for value in (44.25, 5.0, 431.2, 0.5)] == ["44.3", "5", "431", "0.5"]


def test_counts_and_ratios_are_short() -> None:
    assert [format_short_count(value) for value in (999.6, 1234, 2.29e6, 12)] == ["1k", "1.23k", "2.29M", "12"]
    assert [format_ratio(value) for value in (40.45, 132.4, None)] == ["40.5x", "132x", ""]
