"""Uneven sleeping stages on four workers: how long a run takes against ideal list scheduling.

usage: python benchmarks/uneven_stages.py [DRAWS]

Sixteen stages sleep for 2 to 10 s, drawn at random. Ideal list scheduling gives each in its order to the worker that is
idle first, and takes no time for itself. A closed run knows all stages; an open one has in its plan as many as there
are workers, with one to spare or without, and gets another whenever one is done, as a search does. Seconds are counted
from the first stage's begin to the last one's end. Asked: at least 95 % of ideal with one to spare.
"""

import heapq
import os
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import mean
from typing import Any

from convarium.host.room import FOLDER_VARIABLE
from convarium.planning.plan import Node
from convarium.store.store import Store
from convarium.workers.controller import run_plan
from convarium.workers.local_backend import LocalBackend
from convarium.workers.open_run import OpenRunSettings
from convarium.workers.progress import build_progress_display

# In place of this folder, whose store.py would hide the one of the tests.
sys.path[0] = str(Path(__file__).parents[1] / "tests")
fake_run: Any = import_module("store.fake_run")
fake_open_run: Any = import_module("store.fake_open_run")

WORKERS = 4
STAGES = 16
SECONDS_RANGE = (2.0, 10.0)

RunNodes = Callable[[Path, Sequence[Node]], None]


def run_closed(root: Path, nodes: Sequence[Node]) -> None:
    """Run all nodes, which are known from the beginning."""
    run_plan(fake_run.make_fake_plan(*nodes), Store(root), LocalBackend, WORKERS, build_progress_display(quiet=True))


def run_open(spare: int, root: Path, nodes: Sequence[Node]) -> None:
    """Run all nodes, of which the plan holds as many as there are workers, and `spare` more."""
    owner, run = fake_open_run.begin_open_run(root, OpenRunSettings(WORKERS))
    fake_open_run.grow(run, list(nodes), WORKERS + spare)
    run.end()
    owner.release()


RUNS: dict[str, RunNodes] = {
    "closed": run_closed,
    "open, one to spare": partial(run_open, 1),
    "open, none to spare": partial(run_open, 0),
}


def main(draws: int) -> None:
    """Print the table."""
    os.environ["PYTHONPATH"] = fake_run.SUBPROCESS_ENVIRONMENT["PYTHONPATH"]
    print("| run | ideal s | took s | share of ideal | lowest share |\n|---|---|---|---|---|")
    for name, run_nodes in RUNS.items():
        ideals, spans = zip(*(measure_draw(run_nodes, seed) for seed in range(draws)), strict=True)
        shares = [ideal / span for ideal, span in zip(ideals, spans, strict=True)]
        figures = f"{mean(ideals):.1f} | {mean(spans):.1f} | {100 * mean(shares):.1f} % | {100 * min(shares):.1f} %"
        print(f"| {name} | {figures} |", flush=True)


def measure_draw(run_nodes: RunNodes, seed: int) -> tuple[float, float]:
    """Return the ideal seconds of one draw of stages, and those that a run of them took."""
    generator = random.Random(seed)
    seconds = [generator.uniform(*SECONDS_RANGE) for _ in range(STAGES)]
    nodes = [fake_run.make_fake_node(f"stage-{index:02}", seconds=each) for index, each in enumerate(seconds)]
    with tempfile.TemporaryDirectory() as folder:
        os.environ[FOLDER_VARIABLE] = folder
        run_nodes(Path(folder, "store"), nodes)
        return compute_ideal_seconds(seconds), read_span(Path(folder, "store"))


def compute_ideal_seconds(seconds: Sequence[float]) -> float:
    """Return when the last stage ends if each is given in turn to the worker that is idle first."""
    ends = [0.0] * WORKERS
    for each in seconds:
        heapq.heapreplace(ends, ends[0] + each)
    return max(ends)


def read_span(root: Path) -> float:
    """Return the seconds from the first stage's begin to the last one's end."""
    records = list(Store(root).read_records())
    starts = [datetime.fromisoformat(record["started"]).timestamp() for record in records]
    ends = [start + record["seconds"] for start, record in zip(starts, records, strict=True)]
    return float(max(ends) - min(starts))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
