"""Intervals cover what they promise, p-values agree with scipy, and the bootstrap is the one that is drawn."""

from time import perf_counter

import numpy as np
import pytest
from scipy import stats

from convarium.comparison.statistics import crossed, holm, over_seeds, unpack


def draw(seeds, images, rng):
    hard = rng.random(images) < 0.3
    return (rng.random((seeds, images)) < np.where(hard, 0.6, 0.98) + rng.normal(0, 0.02, (seeds, 1))).astype(float)


def test_the_closed_form_is_the_pigeonhole_bootstrap_that_one_would_draw():
    rng = np.random.default_rng(1)
    table = draw(40, 300, rng)
    seeds, images = table.shape
    by_seed = rng.multinomial(seeds, np.full(seeds, 1 / seeds), 20_000) / seeds
    by_image = rng.multinomial(images, np.full(images, 1 / images), 20_000) / images
    drawn = ((by_seed @ table) * by_image).sum(axis=1).std()
    estimate = crossed(table)
    assert (estimate.high - estimate.low) / 2 / 1.96 == pytest.approx(drawn, rel=0.05)


def test_intervals_are_never_narrower_than_images_alone_would_give():
    rng = np.random.default_rng(2)
    for seeds in (2, 3, 8):
        table = draw(seeds, 500, rng)
        images_only = crossed(table.mean(axis=0, keepdims=True))
        estimate = crossed(table)
        assert estimate.low < images_only.low
        assert estimate.high > images_only.high


def test_one_seed_gives_the_interval_of_a_share_of_images():
    table = draw(1, 1000, np.random.default_rng(3))
    estimate = crossed(table)
    error = np.sqrt(estimate.mean * (1 - estimate.mean) / 999)
    assert (estimate.low, estimate.high) == pytest.approx(stats.t.interval(0.95, 999, estimate.mean, error))


def test_seeds_that_are_all_that_varies_give_the_paired_t():
    table = np.array([0.0, 0.25, 1.0])[:, None].repeat(50, axis=1)
    assert crossed(table) == over_seeds([0.0, 0.25, 1.0])


def test_a_table_without_any_difference_has_an_interval_of_no_width_and_shows_nothing():
    estimate = crossed(np.zeros((3, 100)))
    assert (estimate.low, estimate.high, estimate.p) == (0.0, 0.0, 1.0)


def test_t_over_seeds_is_scipys():
    values = [0.1, 0.4, 0.35, 0.2]
    estimate, expected = over_seeds(values), stats.ttest_1samp(values, 0)
    interval = expected.confidence_interval(0.95)
    assert estimate.p == pytest.approx(expected.pvalue)
    assert (estimate.low, estimate.high) == pytest.approx((interval.low, interval.high))


def test_one_value_has_no_interval_and_equal_values_have_one_of_no_width():
    assert over_seeds([2.0]).low is None
    assert over_seeds([2.0]).p is None
    assert (over_seeds([7, 7, 7]).low, over_seeds([7, 7, 7]).p) == (7.0, 0.0)


def test_holm_multiplies_by_what_is_left_and_keeps_the_order():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_stored_bits_come_back():
    bits = np.random.default_rng(0).random(1003) < 0.9
    assert unpack(np.packbits(bits).tobytes().hex(), 1003).tolist() == bits.astype(float).tolist()


def test_ten_thousand_images_and_three_seeds_take_a_blink():
    table = draw(3, 10_000, np.random.default_rng(0))
    crossed(table)
    began = perf_counter()
    crossed(table)
    assert perf_counter() - began < 0.1


@pytest.mark.parametrize(
    "world",
    [
        (3, 1000, 0.02, 0.0, 0.0),  # only images differ
        (3, 1000, 0.03, 0.001, 0.25),  # as LeNet-5 on mnist5k does
        (5, 1000, 0.04, 0.005, 0.25),  # seeds and images
        (3, 5000, 0.03, 0.005, 0.25),  # mostly seeds
    ],
)
def test_intervals_cover_the_truth_in_95_of_100_experiments(intervals, world):
    coverage, _, shown = intervals.score(intervals.Scenario(*world), "crossed", 0.0, repeats=300)
    assert coverage >= 0.93
    assert shown <= 0.04


def test_the_plain_percentile_interval_would_not(intervals):
    world = intervals.Scenario(3, 5000, 0.03, 0.005, 0.25)
    assert intervals.score(world, "percentile", 0.0, repeats=200)[0] < 0.93


def test_a_loss_of_two_points_is_shown_with_three_seeds_and_of_a_point_with_ten_thousand_images(intervals):
    assert intervals.score(intervals.Scenario(3, 1000, 0.03, 0.001, 0.25), "crossed", -0.02, 100)[2] > 0.9
    assert intervals.score(intervals.Scenario(3, 10000, 0.03, 0.001, 0.25), "crossed", -0.01, 50)[2] > 0.9
