"""Kill -9 at random moments of a search of fake stages: the same command goes on, and loses no trial.

    python benchmarks/search_kills.py [--kills 100] [--trials 30] [--seed 0]

Kills hit the controller or one of its workers, with one worker and with four. With one worker the study must equal an
undisturbed one trial by trial (numbers, parameters, values); with four all trials must be there and none running.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[0] = str(ROOT / "tests")  # in place of this folder, whose store.py would hide that of the tests

from convarium.store.store import Store  # noqa: E402
from convarium.workers.stored_runs import find_living_runs  # noqa: E402

fake_search: Any = import_module("search.fake_search")  # it lies among the tests

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])}
PAUSE_SECONDS = (0.5, 6.0)  # before a kill: a controller takes seconds to start


def main() -> None:
    """Print a line for each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print("| workers | kills | trials | lost | running | failed | equal to an undisturbed one |")
    print("|---|---|---|---|---|---|---|")
    for workers in (1, 4):
        with tempfile.TemporaryDirectory() as folder:
            root, rng = Path(folder), random.Random(options.seed)
            hits = disturb(root / "disturbed", options.trials, workers, options.kills, rng)
            trials = fake_search.read_trials(root / "disturbed")
            outcomes = Counter(trial["outcome"] for trial in trials)
            is_equal = "not asked"
            if workers == 1:
                start(root / "undisturbed", options.trials, workers).wait()
                is_equal = "yes" if trials == fake_search.read_trials(root / "undisturbed") else "no"
        kills = f"{hits['controller']} of controllers, {hits['worker']} of workers"
        counts = f"{options.trials - len(trials)} | {outcomes[None]} | {outcomes['failed']}"
        print(f"| {workers} | {kills} | {len(trials)} | {counts} | {is_equal} |", flush=True)


def disturb(store: Path, trials: int, workers: int, kills: int, rng: random.Random) -> Counter[str]:
    """Run a search to its end, killing somebody now and then; return who was hit how often."""
    hits: Counter[str] = Counter()
    process = start(store, trials, workers)
    while hits.total() < kills and process.poll() is None:
        time.sleep(rng.uniform(*PAUSE_SECONDS))
        runs = [run for _, run in find_living_runs(Store(store)) if run is not None]
        victim = rng.choice([process.pid, *(worker.pid for run in runs for worker in run.find_living_workers())])
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        hits["controller" if victim == process.pid else "worker"] += 1
        if victim == process.pid:
            process.wait()
            process = start(store, trials, workers)
    if process.wait() != 0:
        raise SystemExit("the search did not come to its end")
    return hits


def start(store: Path, trials: int, workers: int) -> "subprocess.Popen[bytes]":
    """Start a controller."""
    journal = str(store.parent / "journal")
    command = [sys.executable, "-m", "search.fake_search", str(store), journal, str(trials), str(workers)]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
