"""A planted objective, and how good the last trials of a search are by it."""

from collections.abc import Callable, Mapping
from statistics import fmean
from typing import Any

import numpy as np

from convarium.search.space import Options, RealRange, WholeRange
from convarium.search.strategy import find_strategy
from search.strategies.searching import Answers, Names, choose_all, run_search

PLANTED: Names = {
    "lr": RealRange(0.0001, 1.0, log=True),
    "decay": RealRange(0.0, 1.0),
    "depth": WholeRange(1, 10),
    "norm": Options(("batch", "group", "none")),
}
TRIALS, LATE_TRIALS = 60, 20


def measure_planted(answers: Answers) -> float:
    """Return a value of at most 0, which the learning rate decides above all."""
    rate = abs(np.log10(answers["lr"]) + 2)
    return float(-rate - abs(answers["decay"] - 0.3) - abs(answers["depth"] - 7) / 9 - (answers["norm"] != "group"))


def measure_late(config: Mapping[str, Any], seed: int, tell: Callable[[Answers], float] = measure_planted) -> float:
    """Return the mean of the planted objective over the last trials of a search."""
    points = run_search(find_strategy(config), PLANTED, choose_all(PLANTED), tell, TRIALS, seed)
    return fmean(map(measure_planted, points[-LATE_TRIALS:]))


def build_shuffled_objective(seed: int) -> Callable[[Answers], float]:
    """Return an objective that gives each point the value of another one."""
    generator = np.random.default_rng(seed)
    others = {
        "lr": 10 ** generator.uniform(-4, 0, TRIALS),
        "decay": generator.uniform(0, 1, TRIALS),
        "depth": generator.integers(1, 11, TRIALS),
        "norm": generator.choice(["batch", "group", "none"], TRIALS),
    }
    values = iter([measure_planted({name: column[row] for name, column in others.items()}) for row in range(TRIALS)])
    return lambda answers: next(values)
