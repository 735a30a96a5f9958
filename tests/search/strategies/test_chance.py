"""A strategy that learns beats random search, and falls to chance where the values that it is told are shuffled."""

from collections.abc import Mapping
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from search.strategies.planted import build_shuffled_objective, measure_late


@pytest.mark.parametrize(
    "config",
    [
        {"name": "tpe", "startup_trials": 10, "candidates": 24, "multivariate": None, "group": False},
        {"name": "nsga2", "population_size": 10, "mutation": None, "crossover": 0.9},
    ],
)
def test_a_strategy_beats_chance_by_what_it_is_told_and_by_nothing_else(config: Mapping[str, Any]) -> None:
    seeds = range(8)
    chance = np.array([measure_late({"name": "random"}, seed) for seed in seeds])
    told = np.array([measure_late(config, seed) for seed in seeds])
    shuffled = np.array([measure_late(config, seed, build_shuffled_objective(seed)) for seed in seeds])
    spread = float(np.std(chance))
    assert fmean(told) > fmean(chance) + 2 * spread
    assert abs(fmean(shuffled) - fmean(chance)) < spread
