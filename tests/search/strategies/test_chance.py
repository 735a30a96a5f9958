"""A strategy that learns beats random search, and falls to chance where the values that it is told are shuffled."""

from collections.abc import Callable, Mapping
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from convarium.search.space import Options, RealRange, WholeRange
from convarium.search.strategy import find_strategy
from search.strategies.searching import Answers, Names, choose_all, run_search

PLANTED: Names = {
    "lr": RealRange(0.0001, 1.0, log=True),
    "decay": RealRange(0.0, 1.0),
    "depth": WholeRange(1, 10),
    "norm": Options(("batch", "group", "none")),
}
TRIALS, LATE = 60, 20


def _measure_planted(answers: Answers) -> float:
    """Return a value of at most 0, which the learning rate decides above all."""
    rate = abs(np.log10(answers["lr"]) + 2)
    return float(-rate - abs(answers["decay"] - 0.3) - abs(answers["depth"] - 7) / 9 - (answers["norm"] != "group"))


def _measure_late(config: Mapping[str, Any], seed: int, tell: Callable[[Answers], float] = _measure_planted) -> float:
    """Return the mean of the planted objective over the last trials of a search."""
    points = run_search(find_strategy(config), PLANTED, choose_all(PLANTED), tell, TRIALS, seed)
    return fmean(map(_measure_planted, points[-LATE:]))


def _build_shuffled(seed: int) -> Callable[[Answers], float]:
    """Return an objective that gives each point the value of another one."""
    generator = np.random.default_rng(seed)
    others = {
        "lr": 10 ** generator.uniform(-4, 0, TRIALS),
        "decay": generator.uniform(0, 1, TRIALS),
        "depth": generator.integers(1, 11, TRIALS),
        "norm": generator.choice(["batch", "group", "none"], TRIALS),
    }
    values = iter([_measure_planted({name: column[row] for name, column in others.items()}) for row in range(TRIALS)])
    return lambda answers: next(values)


@pytest.mark.parametrize(
    "config",
    [
        {"name": "tpe", "startup_trials": 10, "candidates": 24, "multivariate": None, "group": False},
        {"name": "nsga2", "population_size": 10, "mutation": None, "crossover": 0.9},
    ],
)
def test_a_strategy_beats_chance_by_what_it_is_told_and_by_nothing_else(config: Mapping[str, Any]) -> None:
    seeds = range(8)
    chance = np.array([_measure_late({"name": "random"}, seed) for seed in seeds])
    told = np.array([_measure_late(config, seed) for seed in seeds])
    shuffled = np.array([_measure_late(config, seed, _build_shuffled(seed)) for seed in seeds])
    spread = float(np.std(chance))
    assert fmean(told) > fmean(chance) + 2 * spread
    assert abs(fmean(shuffled) - fmean(chance)) < spread
