"""What it costs to take a stage from a plan of many points: processor time and disk operations of one worker.

    python benchmarks/scale.py [OLD] [--points 1000,10000] [--workers 1,4] [--takes 30]

A plan of a hundred trainings with their compressions and measurements, half of it stored already. The stages compute
nothing, so that what is left is the worker's own cost: finding the next stage, its lease, its record. With OLD (a
commit) the same is done with that commit's source, in the same run. With four workers one is measured and three run
beside it. Each figure is an average over the stages taken after the first one; surveys of the store, which a worker
makes for at most a twenty-first of its time, come on top where stages take no time at all.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TRAININGS = 100
COLUMNS = (
    "source", "points", "workers", "processor time a take", "disk operations a take", "plan", "written in", "read in",
)  # fmt: skip
DISK_EVENTS = ("open", "os.scandir", "os.listdir", "os.link", "os.mkdir", "os.rename", "os.remove", "os.rmdir")


def main() -> None:
    """Print a table, a line for each source, number of points and number of workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", nargs="?", help="a commit to compare with")
    parser.add_argument("--points", default="1000,10000")
    parser.add_argument("--workers", default="1,4")
    parser.add_argument("--takes", type=int, default=30)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        folder, points, workers = options.measure
        print(json.dumps(measure_takes(Path(folder), int(points), int(workers), options.takes)))
        return
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    with tempfile.TemporaryDirectory() as folder:
        sources = {"this": ROOT}
        if options.old:
            sources = {options.old: Path(folder, "source"), **sources}
            subprocess.run(["git", "worktree", "add", "-q", "--detach", sources[options.old], options.old], check=True)
        try:
            for points in options.points.split(","):
                for workers in options.workers.split(","):
                    for name, source in sources.items():
                        figures = measure_source(source, Path(folder, f"{name}-{points}-{workers}"), points, workers)
                        takes = f"{figures['cpu_ms']:.1f} ms | {figures['operations']:.0f}"
                        plan = f"{figures['plan_mb']:.2f} MB | {figures['write_s']:.2f} s | {figures['read_s']:.2f} s"
                        print(f"| {name} | {int(points):,} | {workers} | {takes} | {plan} |", flush=True)
        finally:
            if options.old:
                subprocess.run(["git", "worktree", "remove", "--force", sources[options.old]], check=True)


def measure_source(source: Path, folder: Path, points: str, workers: str) -> dict[str, Any]:
    """Return the figures of one source tree, measured in a process of its own."""
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(source / "src"), "CONVARIUM_HOST_FOLDER": str(folder)}
    command = [sys.executable, __file__, "--measure", str(folder), points, workers]
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def measure_takes(folder: Path, points: int, workers: int, takes: int) -> dict[str, float]:
    """Make a store of which half is done, let a worker take stages, and return what each take cost."""
    import time

    from convarium.store.store import Store
    from convarium.workers import stage_call
    from convarium.workers.run_file import Run
    from convarium.workers.worker import Worker

    stage_call.load_stage = lambda stage, threads: lambda config, parents, runtime: {"metrics": {}}
    store = Store(folder / "store")
    store.prepare()
    plan = build_wide_plan(points)
    store_first_half(store, plan)
    start_time = time.process_time()
    run = Run.begin(plan, store, workers)
    write_seconds = time.process_time() - start_time
    others = [fork_worker(run) for _ in range(workers - 1)]
    operations = 0
    is_counting = False

    def count_operation(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal operations
        operations += is_counting and event in DISK_EVENTS

    sys.addaudithook(count_operation)
    start_time = time.process_time()
    worker = Worker(run, [])
    read_seconds = time.process_time() - start_time
    taken = 0
    start = (0.0, 0)
    run_leased = Worker._run_leased

    def run_leased_and_count(self: Worker, stage_run: Any) -> None:
        nonlocal taken, start, is_counting
        run_leased(self, stage_run)
        taken += 1
        if taken == 1:
            is_counting = True
            start = (time.process_time(), operations)
        if taken > takes:
            is_counting = False
            run.stop()

    Worker._run_leased = run_leased_and_count  # type: ignore[method-assign]
    worker.run_ready_nodes()
    figures = {
        "cpu_ms": 1000 * (time.process_time() - start[0]) / takes,
        "operations": operations / takes,
        "plan_mb": sum(file.stat().st_size for file in (store.root / "plans").iterdir()) / 1e6,
        "write_s": write_seconds,
        "read_s": read_seconds,
    }
    for pid in others:
        os.waitpid(pid, 0)
    return figures


def fork_worker(run: Any) -> int:
    """Start a worker in a process of its own and return the process id."""
    from convarium.workers.run_stage import WorkerStopped
    from convarium.workers.worker import Worker

    pid = os.fork()
    if pid == 0:
        with suppress(WorkerStopped):
            Worker(run, []).run_ready_nodes()
        os._exit(0)
    return pid


def build_wide_plan(points: int) -> Any:
    """Return a plan of TRAININGS trainings; each point is a compression of one of them and its measurement."""
    from convarium.planning.plan import Node, Plan, PlannedPoint

    def build_node(stage: str, name: str, parents: tuple[str, ...]) -> Node:
        config = {"name": name, "architecture": {"name": "lenet5", "kwargs": {}}, "recipe": {"lr": 0.1, "epochs": 8}}
        return Node(stage, 1, config, parents, None, name, {"root": None, "threads": 1, "alone": False}, 1.0)

    trainings = [build_node("train", f"train-{index}", ()) for index in range(TRAININGS)]
    nodes = {node.signature: node for node in trainings}
    planned = []
    for index in range(points):
        dense = trainings[index % TRAININGS]
        network = build_node("compress", f"compress-{index}", (dense.signature,))
        measure = build_node("measure", f"measure-{index}", (network.signature, dense.signature))
        nodes |= {network.signature: network, measure.signature: measure}
        planned.append(
            PlannedPoint((f"seed={index}",), {"seed": index}, network.signature, dense.signature, measure.signature)
        )
    return Plan(nodes, tuple(planned))


def store_first_half(store: Any, plan: Any) -> None:
    """Write the records of the first half of the plan's nodes, parents first."""
    from convarium.host.provenance import collect_provenance
    from convarium.store.result_record import RECORD_FORMAT

    provenance = collect_provenance()
    nodes = list(plan.nodes.values())
    for node in nodes[: len(nodes) // 2]:
        folder = store.folder_of(node)
        folder.mkdir(parents=True)
        record = {
            "format": RECORD_FORMAT, "signature": node.signature, "stage": node.stage, "version": 1, "name": node.name,
            "stage_config": node.stage_config, "parents": list(node.parents), "fingerprint": None, "work": 1.0,
            "result": {"metrics": {}}, "started": "2026-01-01T00:00:00+00:00", "seconds": 1.0, **provenance,
        }  # fmt: skip
        (folder / "done.json").write_text(json.dumps(record))


if __name__ == "__main__":
    main()
