"""What a search costs beside its trials: the controller's share of a core, and how busy it keeps four workers.

    python benchmarks/search_cost.py [--trials 16] [--strategies tpe,random,nsga2]

A trial is one sleeping stage of 2 to 10 seconds, by its learning rate. The time of the search is compared with ideal
list scheduling of the same durations in the order in which they were asked: each begins when the first of the four
workers is free, from the moment at which the first stage began. The controller's processor time is that from its first
trial to its last, without imports; it includes composing, checking and planning of each trial.
"""

import argparse
import heapq
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[0] = str(ROOT / "tests")  # in place of this folder, whose store.py would hide that of the tests
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])

from convarium.config.point import Point  # noqa: E402, what is imported below lies among the tests
from convarium.planning.plan import Plan, PlannedPoint  # noqa: E402
from convarium.store.store import Store  # noqa: E402

import_module("convarium.search.known_costs")  # with torch, which is imported when the first trial is checked
fake_search: Any = import_module("search.fake_search")
fake_run: Any = import_module("store.fake_run")

WORKERS = 4
SHORTEST, LONGEST = 2.0, 10.0  # seconds


@dataclass(frozen=True)
class SleepingEvaluator:
    """One sleeping stage for each trial."""

    def plan(self, point: Point) -> Plan:
        """The stage of a point."""
        lr = point.config["recipe"]["lr"]
        node = fake_run.make_fake_node(f"{lr:.6f}", seconds=find_seconds(lr))
        planned = PlannedPoint(point.overrides, point.config, node.signature, node.signature, node.signature)
        return Plan({node.signature: node}, (planned,))

    def measures(self, plan: Plan | None, point: Point, store: Store) -> Mapping[str, float]:
        """A planted objective."""
        recipe = point.config["recipe"]
        return {"validation_accuracy": 1 - abs(recipe["lr"] - 0.03), "file_bytes": 1.0, "macs": 1.0}


def main() -> None:
    """Print a line for each strategy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--strategies", default="tpe,random,nsga2")
    options = parser.parse_args()
    print("| strategy | trials | seconds | ideal | share of ideal | controller, share of a core | ms a trial |")
    print("|---|---|---|---|---|---|---|")
    for strategy in options.strategies.split(","):
        with tempfile.TemporaryDirectory() as folder:
            print(f"| {strategy} | {options.trials} | {measure(Path(folder), strategy, options.trials)} |", flush=True)


def measure(folder: Path, strategy: str, trials: int) -> str:
    """Search once; return the cells of the table."""
    evaluator = SleepingEvaluator()
    search = fake_search.build_fake_search(
        f"search.trials={trials}", f"search/strategy={strategy}", evaluator=evaluator
    )
    processor_start = time.process_time()
    fake_search.run_fake_search(search, folder / "store", WORKERS)
    processor_seconds = time.process_time() - processor_start
    seconds = find_span(folder / "store")
    durations = [find_seconds(trial["params"]["recipe.lr"]) for trial in fake_search.read_trials(folder / "store")]
    ideal = schedule(durations)
    share = f"{100 * ideal / seconds:.0f} %"
    core = f"{100 * processor_seconds / seconds:.1f} %"
    return f"{seconds:.1f} | {ideal:.1f} | {share} | {core} | {1000 * processor_seconds / trials:.0f}"


def find_span(store: Path) -> float:
    """Return the seconds from the beginning of the first stage to the end of the last."""
    records = list(Store(store).read_records())
    starts = [datetime.fromisoformat(record["started"]).timestamp() for record in records]
    ends = [start + record["seconds"] for start, record in zip(starts, records, strict=True)]
    return float(max(ends) - min(starts))


def schedule(durations: list[float]) -> float:
    """Return how long ideal list scheduling takes."""
    free_times = [0.0] * WORKERS
    for duration in durations:
        heapq.heapreplace(free_times, free_times[0] + duration)
    return max(free_times)


def find_seconds(lr: float) -> float:
    """Return how long a trial sleeps: spread evenly, whatever the strategy prefers."""
    return SHORTEST + (LONGEST - SHORTEST) * (lr * 1e6 % 1000) / 1000


if __name__ == "__main__":
    main()
