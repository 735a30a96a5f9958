"""The margin test: what it claims is false in at most 5 of 100 experiments, and true claims are made."""

import numpy as np
import pytest
from scipy import stats

from convarium.comparison.noninferiority import bound_accuracy_loss
from convarium.comparison.statistics import estimate_paired_difference


def table(lost, gained, images=10_000, seeds=3):
    result = np.zeros((seeds, images))
    result[:, :lost], result[:, lost : lost + gained] = -1, 1
    return result


def test_the_bound_is_the_lower_end_of_the_90_percent_interval_where_images_are_plenty():
    differences = table(600, 500)
    found, estimate = bound_accuracy_loss(differences, 0.002), estimate_paired_difference(differences)
    z_95, z_975 = stats.norm.ppf([0.95, 0.975])
    assert found.upper == pytest.approx(0.01 + (estimate.high - estimate.low) / 2 * z_95 / z_975, rel=1e-3)
    assert found.p_value > 0.99


def test_the_bound_is_where_the_test_stands_at_5_percent():
    for differences in (table(12, 3), table(1, 0), table(0, 0), table(0, 2), table(300, 290), table(3, 1, seeds=1)):
        upper = bound_accuracy_loss(differences, 0.002).upper
        assert bound_accuracy_loss(differences, upper).p_value == pytest.approx(0.05)
        assert (
            bound_accuracy_loss(differences, upper * 1.1).p_value
            < 0.05
            < bound_accuracy_loss(differences, upper * 0.9).p_value
        )


def test_no_difference_at_all_bounds_the_loss_by_the_number_of_images():
    assert bound_accuracy_loss(table(0, 0, images=1000), 0.002).upper == pytest.approx(0.0027, rel=0.01)
    assert bound_accuracy_loss(table(0, 0, images=1000), 0.002).p_value > 0.05
    assert bound_accuracy_loss(table(0, 0), 0.002).p_value < 0.001


def test_a_gain_is_no_loss():
    found = bound_accuracy_loss(table(0, 1000), 0.002)
    assert found.upper < 0
    assert found.p_value < 1e-6


def test_seeds_that_differ_widen_the_bound():
    differences = table(60, 50)
    apart = differences.copy()
    apart[0, 200:400] = -1
    apart[1, 200:400] = 1
    assert bound_accuracy_loss(apart, 0.002).upper > 3 * bound_accuracy_loss(differences, 0.002).upper


@pytest.mark.parametrize(
    "world",
    [
        (3, 1000, 0.003, 0.0, 0.0, 0.004),  # a handful of images, the same with each seed
        (3, 10000, 0.003, 0.0, 0.0, 0.004),
        (3, 10000, 0.01, 0.0005, 0.25),
        (5, 10000, 0.01, 0.002, 0.25),  # mostly seeds
    ],
)
def test_a_true_loss_of_the_margin_is_seldom_called_equivalent(intervals, world):
    assert intervals.equivalent(intervals.Scenario(*world), 0.002, -0.002, repeats=300) <= 0.06


def test_ten_thousand_images_show_that_nothing_is_lost(intervals):
    assert intervals.equivalent(intervals.Scenario(3, 10000, 0.003, 0.0, 0.0, 0.004), 0.002, 0.0, repeats=100) > 0.9
    assert intervals.equivalent(intervals.Scenario(5, 10000, 0.01, 0.0005, 0.25), 0.002, 0.0, repeats=100) > 0.5


@pytest.mark.parametrize("seeds", [1, 2, 3, 5, 12])
@pytest.mark.parametrize("images", [5, 40, 1000])
@pytest.mark.parametrize(
    ("lost", "gained"), [(0, 0), (0.002, 0), (0, 0.002), (0.1, 0.1), (0.3, 0.05), (0.05, 0.3), (1, 0)]
)
def test_the_end_of_the_two_sided_interval_is_the_stricter_reading(seeds, images, lost, gained):
    rng = np.random.default_rng(0)
    for _ in range(10):
        chance = rng.random((seeds, images))
        differences = np.where(chance < lost, -1.0, np.where(chance < lost + gained, 1.0, 0.0))
        assert estimate_paired_difference(differences).low <= -bound_accuracy_loss(differences, 0.002).upper
        assert (
            estimate_paired_difference(differences).low < -bound_accuracy_loss(differences, 0.002).upper
            or bound_accuracy_loss(differences, 0.002).upper == 1
        )
