"""What strategies learn of a planted objective, what is left of it with shuffled values, and what a trial costs.

usage: python benchmarks/strategies.py [STRATEGY …]

The objective has four names and is 0 at best. A search of 60 trials is judged by the mean of its last 20: told the
objective itself, and told, for each point, the value of another one, by which nothing can be learned. A trial's cost
is the processor time of asking and telling it through a journal, with nine names. `gp` takes a core for hours.
"""

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from optuna.study import StudyDirection

from convarium.config.option_file import read_option
from convarium.config.search_path import find_config_file
from convarium.search.journal import open_journal, open_study
from convarium.search.space import Domain, Options, RealRange, WholeRange
from convarium.search.strategy import find_strategy, let_sampler_end_asking

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
planted: Any = import_module("search.strategies.planted")
searching: Any = import_module("search.strategies.searching")

STRATEGIES = ("random", "tpe", "nsga2")
SEEDS = 20
TIMED_TRIALS, TIMED_BLOCK = 500, 20
NAMES: Mapping[str, Domain] = {
    "architecture": Options(tuple("abcde")),
    **{f"rate{number}": RealRange(0.001, 0.3, log=True) for number in range(3)},
    **{f"count{number}": WholeRange(1, 20) for number in range(3)},
    **{f"word{number}": Options(tuple("xyz")) for number in range(2)},
}


def read_defaults(strategy: str) -> dict[str, Any]:
    """Return what the file of a strategy sets."""
    file = find_config_file("conf", f"search/strategy/{strategy}")
    assert file is not None
    return {key: value for key, value in read_option(file).items() if not key.startswith("_")}


def judge_strategy(strategy: str, shuffled: bool) -> str:
    """Return the mean of the last trials over the seeds, with its standard error."""
    values = []
    for seed in range(SEEDS):
        objective = planted.build_shuffled_objective(seed) if shuffled else planted.measure_planted
        values.append(planted.measure_late(read_defaults(strategy), seed, objective))
    return f"{fmean(values):.2f} ± {stdev(values) / SEEDS**0.5:.2f}"


def time_trials(strategy: str, objectives: int) -> tuple[float, float]:
    """Return the milliseconds of processor time of a trial, among the first ones and among the last ones."""
    with tempfile.TemporaryDirectory() as folder:
        storage = open_journal(Path(folder) / "journal.log", 0, lambda: None)
        study = open_study(storage, "timed", [StudyDirection.MAXIMIZE] * objectives)
        let_sampler_end_asking(study)
        found, choose = find_strategy(read_defaults(strategy)), searching.choose_all(NAMES)
        milliseconds = []
        for _ in range(TIMED_TRIALS):
            start = time.process_time()
            searching.run_search(found, NAMES, choose, lambda answers: [answers["rate0"]] * objectives, 1, study=study)
            milliseconds.append(1000 * (time.process_time() - start))
    return fmean(milliseconds[:TIMED_BLOCK]), fmean(milliseconds[-TIMED_BLOCK:])


def main(strategies: Sequence[str]) -> None:
    """Print the table."""
    print("| strategy | last trials | with shuffled values | ms of a trial: the first | the last | two objectives |")
    print("|---|---|---|---|---|---|")
    for strategy in strategies:
        told, shuffled = judge_strategy(strategy, shuffled=False), judge_strategy(strategy, shuffled=True)
        first, last = time_trials(strategy, objectives=1)
        _, of_two = time_trials(strategy, objectives=2)
        print(f"| {strategy} | {told} | {shuffled} | {first:.0f} | {last:.0f} | {of_two:.0f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or STRATEGIES)
