"""Intervals cover what they promise, p-values agree with scipy, and the bootstrap is the one that is drawn."""

from time import perf_counter

import numpy as np
import pytest
from scipy import stats

from convarium.comparison.statistics import (
    adjust_by_holm,
    compute_moments,
    estimate_accuracy,
    estimate_mean_over_seeds,
    estimate_paired_difference,
    unpack_correctness,
)


def draw(seeds, images, rng):
    hard = rng.random(images) < 0.3
    return (rng.random((seeds, images)) < np.where(hard, 0.6, 0.98) + rng.normal(0, 0.02, (seeds, 1))).astype(float)


def differences(seeds, images, rng, share=0.1):
    return draw(seeds, images, rng) * (rng.random(images) < share) * rng.choice([-1.0, 1.0], images)


def test_the_closed_form_is_the_pigeonhole_bootstrap_that_one_would_draw():
    rng = np.random.default_rng(1)
    table = differences(40, 300, rng, 0.8)
    seeds, images = table.shape
    by_seed = rng.multinomial(seeds, np.full(seeds, 1 / seeds), 20_000) / seeds
    by_image = rng.multinomial(images, np.full(images, 1 / images), 20_000) / images
    drawn = ((by_seed @ table) * by_image).sum(axis=1).std()
    estimate = estimate_paired_difference(table)
    assert (estimate.high - estimate.low) / 2 / 1.96 == pytest.approx(drawn, rel=0.05)


def test_intervals_are_never_narrower_than_images_alone_would_give():
    rng = np.random.default_rng(2)
    for seeds in (2, 3, 8):
        table = differences(seeds, 500, rng)
        images_only = estimate_paired_difference(table.mean(axis=0, keepdims=True))
        estimate = estimate_paired_difference(table)
        assert estimate.low < images_only.low
        assert estimate.high > images_only.high


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize(("right", "images"), [(40, 40), (18, 20), (0, 7), (1, 1), (9_712, 10_000)])
def test_networks_that_agree_on_every_image_give_wilsons_interval(seeds, right, images):
    expected = stats.binomtest(right, images).proportion_ci(method="wilson")
    estimate = estimate_accuracy(np.tile(np.arange(images) < right, (seeds, 1)).astype(float))
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))


def test_one_seed_gives_bonett_and_prices_interval_of_paired_images():
    table = np.array([[1.0] * 14 + [-1.0] * 5 + [0.0] * 981])
    error = np.sqrt((15 / 1002 + 6 / 1002 - (9 / 1002) ** 2) / 1001)
    expected = stats.t.interval(0.95, 1001, 9 / 1002, error)
    assert (estimate_paired_difference(table).low, estimate_paired_difference(table).high) == pytest.approx(expected)


def test_seeds_that_are_all_that_varies_give_the_paired_t():
    table = np.array([0.0, 0.25, 1.0])[:, None].repeat(50_000, axis=1)
    expected = estimate_mean_over_seeds([0.0, 0.25, 1.0])
    assert compute_moments(table) == pytest.approx(
        (expected.mean, np.std([0, 0.25, 1], ddof=1) / np.sqrt(3), 2), rel=1e-3
    )
    assert estimate_paired_difference(table).p_value == pytest.approx(expected.p_value, rel=1e-3)


TABLES = [
    (seeds, images, share, tilt)
    for seeds in (1, 2, 3, 5, 10)
    for images in (1, 2, 20, 400)
    for share in (0.0, 0.01, 0.3, 1.0)
    for tilt in (0.0, 0.5, 1.0)
]


@pytest.mark.parametrize(("seeds", "images", "share", "tilt"), TABLES)
def test_no_interval_is_without_width_or_contradicts_its_mean_or_its_p(seeds, images, share, tilt):
    rng = np.random.default_rng(seeds * images)
    wrong = rng.random((seeds, images)) < share
    signs = np.where(rng.random((seeds, images)) < (1 + tilt) / 2, 1.0, -1.0)
    table = wrong * signs
    found, other, right = (
        estimate_paired_difference(table),
        estimate_paired_difference(-table),
        estimate_accuracy(1.0 - wrong),
    )
    assert -1 <= found.low <= found.mean <= found.high <= 1
    assert found.high - found.low > 1 / (images + 1)
    assert (found.p_value < 0.05) == (not found.low <= 0 <= found.high)
    assert (found.low, found.high, found.p_value) == pytest.approx((-other.high, -other.low, other.p_value))
    assert 0 <= right.low <= right.mean <= right.high <= 1
    assert right.high - right.low > 1 / (images + 1)


@pytest.mark.parametrize("seeds", [1, 2, 3, 10])
def test_one_more_right_image_raises_both_ends(seeds):
    ends = []
    for right in range(61):
        found = estimate_accuracy(np.tile(np.arange(60) < right, (seeds, 1)).astype(float))
        ends.append((found.low, found.high))
    assert ends == sorted(ends)
    assert [end for _, end in ends] == sorted(end for _, end in ends)


def test_seeds_that_err_on_other_images_know_more_than_seeds_that_err_on_the_same():
    apart = np.ones((10, 1000))
    for seed in range(10):
        apart[seed, 30 * seed : 30 * seed + 30] = 0
    alike = np.tile(apart[0], (10, 1))
    assert estimate_accuracy(apart).high - estimate_accuracy(apart).low < 0.75 * (
        estimate_accuracy(alike).high - estimate_accuracy(alike).low
    )


def test_one_error_of_one_seed_does_not_raise_the_lower_end():
    table = np.ones((3, 40))
    perfect = estimate_accuracy(table)
    table[0, 0] = 0
    assert estimate_accuracy(table).low < perfect.low


def test_t_over_seeds_is_scipys():
    values = [0.1, 0.4, 0.35, 0.2]
    estimate, expected = estimate_mean_over_seeds(values), stats.ttest_1samp(values, 0)
    interval = expected.confidence_interval(0.95)
    assert estimate.p_value == pytest.approx(expected.pvalue)
    assert (estimate.low, estimate.high) == pytest.approx((interval.low, interval.high))


def test_one_value_has_no_interval_and_equal_values_have_one_of_no_width():
    assert estimate_mean_over_seeds([2.0]).low is None
    assert estimate_mean_over_seeds([2.0]).p_value is None
    assert (estimate_mean_over_seeds([7, 7, 7]).low, estimate_mean_over_seeds([7, 7, 7]).p_value) == (7.0, 0.0)


def test_holm_multiplies_by_what_is_left_and_keeps_the_order():
    assert adjust_by_holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert adjust_by_holm([0.5, 0.9]) == [1.0, 1.0]
    assert adjust_by_holm([]) == []


def test_stored_bits_come_back():
    bits = np.random.default_rng(0).random(1003) < 0.9
    assert unpack_correctness(np.packbits(bits).tobytes().hex(), 1003).tolist() == bits.astype(float).tolist()


def test_ten_thousand_images_and_three_seeds_take_a_blink():
    table = draw(3, 10_000, np.random.default_rng(0))
    estimate_paired_difference(table)
    began = perf_counter()
    estimate_paired_difference(table)
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


WORLDS = [(1, 0.0, 0.0), (3, 0.0, 1.0), (3, 0.0, 0.5), (3, 0.005, 0.5), (3, 0.02, 0.5), (3, 0.02, 1.0)]


@pytest.mark.parametrize(("seeds", "seed_sd", "alike"), WORLDS)
@pytest.mark.parametrize("images", [20, 40, 100, 1000])
@pytest.mark.parametrize(("share", "least"), [(0.5, 0.93), (0.9, 0.93), (0.97, 0.93), (0.99, 0.90)])
def test_intervals_of_accuracies_cover_the_truth(intervals, share, least, images, seeds, seed_sd, alike):
    world = intervals.Accuracies(seeds, images, share, seed_sd, alike)
    assert intervals.accuracies(world, repeats=1000)[0] >= least


@pytest.mark.parametrize(("seeds", "seed_sd"), [(1, 0.0), (3, 0.0), (3, 0.005), (3, 0.02)])
@pytest.mark.parametrize("images", [20, 100, 1000])
@pytest.mark.parametrize("discordant", [0.005, 0.02, 0.1])
def test_intervals_of_differences_cover_the_truth(intervals, discordant, images, seeds, seed_sd):
    world = intervals.Scenario(seeds, images, discordant, seed_sd, 0.0, 0.5)
    assert intervals.differences(world, repeats=1000)[0] >= 0.93


def student(table):
    """The interval of Student's t alone, with Satterthwaite's degrees of freedom, clipped: (low, high)."""
    (seeds, images), mean = table.shape, table.mean()
    by_image, by_seed = table.mean(axis=0), table.mean(axis=1)
    parts, freedoms = [by_image.var(ddof=1) / images], [images - 1]
    if seeds > 1:
        rest = table - by_seed[:, None] - by_image + mean
        cells = (seeds - 1) * (images - 1)
        parts += [by_seed.var(ddof=1) / seeds, (rest**2).sum() / cells / (seeds * images)]
        freedoms += [seeds - 1, cells]
    freedom = sum(parts) ** 2 / sum(part**2 / degrees for part, degrees in zip(parts, freedoms, strict=True))
    width = stats.t.ppf(0.975, freedom) * np.sqrt(sum(parts))
    return max(mean - width, 0), min(mean + width, 1)


@pytest.mark.parametrize(("seeds", "seed_sd", "alike"), WORLDS)
@pytest.mark.parametrize("share", [0.5, 0.9, 0.97])
def test_a_thousand_images_make_intervals_hardly_wider_than_students(intervals, share, seeds, seed_sd, alike):
    world, rng = intervals.Accuracies(seeds, 1000, share, seed_sd, alike), np.random.default_rng(0)
    tables = [world.draw(rng) for _ in range(400)]
    ours = np.mean([found.high - found.low for found in map(estimate_accuracy, tables)])
    assert ours <= 1.1 * np.mean([high - low for low, high in map(student, tables)])
