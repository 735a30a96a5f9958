"""How early the first row of a sweep stands, and how long the sweep takes, in the order of before and of now.

usage: python benchmarks/early_results.py [TRAIN_IMAGES]

Twelve points (three seeds of LeNet-5, dense and by three methods) are made once by one worker. Then the same plan is
run again by the same controller and workers in both orders, and each stage waits for as many seconds as it took: so
neither the load of the machine nor two stages that share its cores can decide for an order.

Order of before: the longest remaining path first. A row stands when its network and its dense network are measured.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from convarium.planning.plan import Plan
from convarium.store.store import Store
from convarium.workers import ready_nodes, stage_call, worker_process
from convarium.workers.controller import run_plan
from convarium.workers.launcher_backend import LauncherBackend
from convarium.workers.progress import build_progress_display
from convarium.workers.ready_nodes import NodeRank
from convarium.workers.runtime import Runtime

POINTS = (
    "architecture=lenet5", "dataset=mnist5k", "recipe.epochs=4", "compression=none,magnitude,kmeans,filter_l1",
    "compression.magnitude.epochs=4", "compression.magnitude.rounds=1", "compression.kmeans.epochs=4",
    "compression.filter_l1.epochs=4", "seed=0,1,2",
)  # fmt: skip
ORDERS = ("before", "now")
WORKER_COUNTS = (1, 2)

Record = Mapping[str, Any]


def make_results(root: Path, train_images: int) -> Plan:
    """Run the sweep with one worker; return its plan."""
    from convarium.compose.points import compose_points
    from convarium.planning.stage_graph import build_plan

    overrides = [*POINTS, f"dataset.train_size={train_images}", f"runtime.store={root}", "runtime.workers=1"]
    subprocess.run([sys.executable, "-m", "convarium", "run", *overrides], check=True, capture_output=True)
    return build_plan(compose_points(overrides).check_points())


def write_seconds(root: Path, file: Path) -> None:
    """Write the seconds that each stage took, by the name of its folder."""
    seconds = {path.parent.name: json.loads(path.read_text())["seconds"] for path in root.glob("*/*/done.json")}
    file.write_text(json.dumps(seconds))


def replay_sweep(plan: Plan, seconds_file: Path, root: Path, order: str, workers: int) -> tuple[int, float, float]:
    """Return how many stages were done when the first row stood, after how many seconds, and the seconds of all."""
    launch = partial(launch_workers, order, seconds_file)
    run_plan(plan, Store(root), lambda run: LauncherBackend(run, launch), workers, build_progress_display(quiet=True))
    records = list(Store(root).read_records())
    start = min(read_start(record) for record in records)
    ends = {record["signature"]: read_start(record) + record["seconds"] - start for record in records}
    first_row = min(find_row_seconds(plan, ends))
    done_count = sum(end <= first_row for end in ends.values())
    return done_count, first_row, max(ends.values())


def find_row_seconds(plan: Plan, ends: Mapping[str, float]) -> list[float]:
    """Return, for each compressed network, when it and its dense network were measured."""
    dense_ends = {point.dense: ends[point.measure] for point in plan.points if point.network == point.dense}
    compressed = [point for point in plan.points if point.network != point.dense]
    return [max(ends[point.measure], dense_ends[point.dense]) for point in compressed]


def read_start(record: Record) -> float:
    """Return when a stage began, in seconds since 1970."""
    return datetime.fromisoformat(record["started"]).timestamp()


def launch_workers(order: str, seconds_file: Path, jobs: list[list[str]]) -> None:
    """Run a process for each worker: this script, with "--worker"."""
    processes = []
    for job in jobs:
        run_file, number = (override.partition("=")[2] for override in job)
        command = [sys.executable, __file__, "--worker", order, str(seconds_file), run_file, number]
        processes.append(subprocess.Popen(command))
    for process in processes:
        process.wait()


def work(order: str, seconds_file: str, run_file: str, number: str) -> None:
    """Be a worker whose stages wait for as many seconds as they took when they were made."""
    seconds = json.loads(Path(seconds_file).read_text())

    def wait(_: Any, __: Any, runtime: Runtime) -> dict[str, Any]:
        time.sleep(seconds[runtime.folder.parent.name])
        return {"metrics": {}}

    stage_call.load_stage = lambda stage, threads: wait
    if order == "before":
        ready_nodes.rank_nodes = partial(rank_by_path, ready_nodes.rank_nodes)
    worker_process.run_worker(Path(run_file), int(number))


def rank_by_path(rank_nodes: Callable[[Plan], dict[str, NodeRank]], plan: Plan) -> dict[str, NodeRank]:
    """Rank the nodes by their longest remaining path alone."""
    ranks = rank_nodes(plan)
    return {signature: replace(rank, by_depth=(0, 0.0), is_measure=False) for signature, rank in ranks.items()}


def main(train_images: int) -> None:
    """Print the table."""
    print("| workers | order | stages done at the first row | first row after s | all after s |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        plan = make_results(Path(folder) / "made", train_images)
        seconds_file = Path(folder) / "seconds.json"
        write_seconds(Path(folder) / "made", seconds_file)
        for workers in WORKER_COUNTS:
            for order in ORDERS:
                root = Path(folder) / f"{order}-{workers}"
                done_count, first_row, last = replay_sweep(plan, seconds_file, root, order, workers)
                print(
                    f"| {workers} | {order} | {done_count} of {len(plan.nodes)} | {first_row:.0f} | {last:.1f} |",
                    flush=True,
                )


if __name__ == "__main__":
    if "--worker" in sys.argv:
        work(*sys.argv[2:])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1500)
