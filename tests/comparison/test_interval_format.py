"""An interval never rounds to what it is not: without width, beside its mean, or at a zero that it does not reach."""

import pytest

from convarium.comparison.interval_format import format_bounds


def write(value, further):
    return f"{value:+.{2 + further}f}"


@pytest.mark.parametrize(
    ("mean", "low", "high", "text"),
    [
        (0.2, -0.1, 0.5, "-0.10..+0.50"),
        (-0.2, -0.5, -0.003, "-0.500..-0.003"),
        (-0.2, -0.5, -0.0004, "-0.5000..-0.0004"),
        (0.2, 0.0004, 0.5, "+0.0004..+0.5000"),
        (0.0, 0.0, 0.5, "+0.00..+0.50"),
        (100.0, 99.998, 100.0, "+99.998..+100.000"),
        (99.97, 99.966, 99.974, "+99.966..+99.974"),
    ],
)
def test_bounds_have_the_digits_that_they_need(mean, low, high, text):
    found = format_bounds(mean, low, high, write)
    least, most = map(float, found.split(".."))
    assert least <= mean <= most
    assert least < most
    assert found == text


def test_an_interval_about_nothing_in_view_ends_with_its_last_digits():
    assert format_bounds(0.0, -1e-9, 1e-9, write) == "-0.00000..+0.00000"
