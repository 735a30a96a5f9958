"""Shared work: many processes that ask for one comparison at once, and what Slurm adds to a stage.

    python benchmarks/sharing.py [--processes 32] [--repeats 3]

First, processes are started at once with one command line of 36 points (twelve methods, three seeds; a small network
and one epoch) and one store, each with a worker of its own: every stage is to be begun once. Then a sweep of 36 fake
stages of a quarter of a second is made by two local workers and by two jobs of a Slurm of two nodes, in turns. Needs
what tests/cluster/slurm needs.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from convarium.host.room import FOLDER_VARIABLE
from convarium.store.store import Store
from convarium.workers.controller import run_plan
from convarium.workers.local_backend import LocalBackend
from convarium.workers.progress import build_progress_display

# In place of this folder, whose store.py would hide the one of the tests.
sys.path[0] = str(Path(__file__).parents[1] / "tests")
fake_run: Any = import_module("store.fake_run")
slurm_runs: Any = import_module("cluster.slurm.slurm_runs")
slurm_cluster: Any = import_module("cluster.slurm.slurm_cluster")

METHODS = (
    "none,magnitude,random,kmeans,uniform,levels,bwn,xz,svd,"
    "[magnitude,kmeans],[magnitude,kmeans,huffman],[magnitude,levels,arithmetic]"
)
COMPARISON = (
    "architecture=lenet5", "dataset=digits", "dataset.img_size=16", "recipe.epochs=1", f"compression={METHODS}",
    "seed=0,1,2", "runtime.workers=1", "runtime.threads=1",
)  # fmt: skip
COMMAND_SECONDS = 3600.0
STAGES, STAGE_SECONDS, WORKERS = 36, 0.25, 2
ATTEMPT_PATTERN = re.compile(r"begins on (\S+), process (\d+)")

Span = tuple[float, float]  # begin and end of a stage, in seconds of the clock


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = fake_run.SUBPROCESS_ENVIRONMENT["PYTHONPATH"]
    with tempfile.TemporaryDirectory() as folder:
        os.environ[FOLDER_VARIABLE] = folder
        print_stage_costs(Path(folder), options.repeats)
        print_shared_comparison(Path(folder), options.processes)


def print_shared_comparison(folder: Path, count: int) -> None:
    """Have processes ask for one comparison; print how often its stages were begun."""
    store = folder / "store"
    command = [sys.executable, "-m", "convarium", "run", *COMPARISON, f"runtime.store={store}"]
    processes = [
        subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(count)
    ]
    codes = Counter(process.wait(COMMAND_SECONDS) for process in processes)
    begun = {log.parent: len(ATTEMPT_PATTERN.findall(log.read_text())) for log in store.glob("*/*/log.txt")}
    trained = [number for path, number in begun.items() if path.parent.name == "train"]
    workers = {match for log in store.glob("*/*/log.txt") for match in ATTEMPT_PATTERN.findall(log.read_text())}
    oftener = sum(number > 1 for number in begun.values())
    print("\n| processes | that made stages | exit code 0 | stages | dense trainings | begun | begun more than once |")
    print("|---|---|---|---|---|---|---|")
    figures = [count, len(workers), codes[0], len(begun), len(trained), sum(begun.values()), oftener]
    print(f"| {' | '.join(map(str, figures))} |", flush=True)


def print_stage_costs(folder: Path, repeats: int) -> None:
    """Run the same fake stages by local workers and by Slurm's; print what comes between two stages of a worker."""
    (folder / "slurm").mkdir()
    slurm = slurm_cluster.SlurmCluster(folder / "slurm")
    os.environ |= slurm.environment
    runs: dict[str, Callable[[Any, Path], object]] = {"local": run_locally, "slurm": run_on_slurm}
    firsts: defaultdict[str, list[float]] = defaultdict(list)
    gaps: defaultdict[str, list[float]] = defaultdict(list)
    lasts: defaultdict[str, list[float]] = defaultdict(list)
    try:
        for repeat in range(repeats):
            for name, run in runs.items():
                root = folder / f"{name}-{repeat}"
                nodes = [fake_run.make_fake_node(f"stage-{index}", seconds=STAGE_SECONDS) for index in range(STAGES)]
                begun = time.time()
                run(fake_run.make_fake_plan(*nodes), root)
                spans = read_spans(root)
                ends = [end for worker in spans for _, end in worker]
                firsts[name].append(min(worker[0][0] for worker in spans) - begun)
                lasts[name].append(time.time() - max(ends))
                gaps[name] += [after[0] - before[1] for worker in spans for before, after in pairwise(worker)]
    finally:
        slurm.close()
    print("| workers | seconds to the first stage | between two stages of a worker | after the last stage |")
    print("|---|---|---|---|")
    for name in runs:
        print(
            f"| {name} | {median(firsts[name]):.1f} | {median(gaps[name]):.3f} | {median(lasts[name]):.1f} |",
            flush=True,
        )


def run_locally(plan: Any, root: Path) -> object:
    """Run a plan by processes of this host."""
    return run_plan(plan, Store(root), LocalBackend, WORKERS, build_progress_display(quiet=True))


def run_on_slurm(plan: Any, root: Path) -> object:
    """Run a plan by jobs."""
    return slurm_runs.run_on_slurm(plan, root, WORKERS)


def read_spans(root: Path) -> Iterable[list[Span]]:
    """Return the stages of each worker, one after another."""
    spans: defaultdict[tuple[str, str], list[Span]] = defaultdict(list)
    store = Store(root)
    for record in store.read_records():
        folder = store.find_folder(record["signature"])
        assert folder is not None
        (worker,) = ATTEMPT_PATTERN.findall((folder / "log.txt").read_text())
        begin = datetime.fromisoformat(record["started"]).timestamp()
        spans[worker].append((begin, begin + record["seconds"]))
    return [sorted(each) for each in spans.values()]


if __name__ == "__main__":
    main()
