"""Processor time of a trial beside its stages, and how much of it is Optuna's sampler, its journal and ours.

    python benchmarks/search_trials.py [--trials 500] [--strategies tpe,random,nsga2]

Trials are answered at once, without any stage: what is left is asking, composing, checking, writing and telling.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[0] = str(ROOT / "tests")  # in place of this folder, whose store.py would hide that of the tests

from optuna.samplers import BaseSampler, NSGAIISampler, TPESampler  # noqa: E402
from optuna.storages import JournalStorage  # noqa: E402

from convarium.config.point import Point  # noqa: E402
from convarium.planning.plan import Plan  # noqa: E402
from convarium.search import study  # noqa: E402
from convarium.search.distinct_sampler import DistinctSampler  # noqa: E402
from convarium.store.store import Store  # noqa: E402

import_module("convarium.search.known_costs")  # with torch, which is imported when the first trial is checked
fake_search: Any = import_module("search.fake_search")

SAMPLERS: tuple[type[BaseSampler], ...] = (TPESampler, DistinctSampler, NSGAIISampler)
SAMPLER_METHODS = (
    "infer_relative_search_space",
    "sample_relative",
    "sample_independent",
    "before_trial",
    "after_trial",
)


@dataclass(frozen=True)
class InstantEvaluator:
    """Two planted objectives, without stages."""

    def plan(self, point: Point) -> Plan | None:
        """None: answered at once."""
        return None

    def measures(self, plan: Plan | None, point: Point, store: Store) -> Mapping[str, float]:
        """Objectives that no point has at their best together."""
        lr, epochs = point.config["recipe"]["lr"], point.config["recipe"]["epochs"]
        return {"validation_accuracy": 1 - abs(lr - 0.03) - 0.01 * (9 - epochs), "file_bytes": 1000 * epochs + lr}


@dataclass
class Stopwatch:
    """Processor seconds by what they were spent for; what is called within another is that one's."""

    seconds: dict[str, float] = field(default_factory=dict)
    is_running: bool = False

    def watch(self, owner: Any, name: str, purpose: str) -> None:
        """Have the calls of a function count for a purpose."""
        function: Callable[..., Any] = getattr(owner, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            if self.is_running:
                return function(*arguments, **named)
            self.is_running, start = True, time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                self.is_running = False
                self.seconds[purpose] = self.seconds.get(purpose, 0.0) + time.process_time() - start

        setattr(owner, name, timed)


def main() -> None:
    """Print a line for each strategy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--strategies", default="tpe,random,nsga2")
    options = parser.parse_args()
    stopwatch = Stopwatch()
    for sampler in SAMPLERS:
        for name in SAMPLER_METHODS:
            stopwatch.watch(sampler, name, "sampler")
    stopwatch.watch(JournalStorage, "_write_log", "journal")
    stopwatch.watch(study, "prepare_trial", "composing and checking")
    print("| strategy | objectives | trials | ms a trial | sampler | journal | composing and checking | rest |")
    print("|---|---|---|---|---|---|---|---|")
    for strategy in options.strategies.split(","):
        for objectives in ("accuracy", "accuracy,file_bytes"):
            stopwatch.seconds.clear()
            seconds = measure(strategy, objectives, options.trials)
            parts = [stopwatch.seconds.get(name, 0.0) for name in ("sampler", "journal", "composing and checking")]
            cells = [f"{1000 * part / options.trials:.1f}" for part in (seconds, *parts, seconds - sum(parts))]
            count = objectives.count(",") + 1
            print(f"| {strategy} | {count} | {options.trials} | {' | '.join(cells)} |", flush=True)


def measure(strategy: str, objectives: str, trials: int) -> float:
    """Search once; return the processor seconds of it."""
    line = (f"search.trials={trials}", f"search/strategy={strategy}", f"search.objectives=[{objectives}]")
    search = fake_search.build_fake_search(*line, evaluator=InstantEvaluator())
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        fake_search.run_fake_search(search, Path(folder))
        return time.process_time() - start


if __name__ == "__main__":
    main()
