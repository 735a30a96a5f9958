"""Time on real executors: what half the filters, a low rank and eight bits gain, and whether the clock can be trusted.

usage: python benchmarks/latency.py [--store FOLDER] > docs/results/latency.md

Everything goes the way of `convarium run`: each network and its dense one take turns in one process, 60 turns of 10 ms
at least, one thread, in three fresh processes; ratios are medians, in brackets the range of the processes' medians. A
race is void where the machine was too busy (`measurement.latency.summarise_races`); it is run three times at most, then
stored as void.

1. LeNet-5 against itself, ten whole races for each executor: how far from 1 a ratio is that must be 1.
2. LeNet-5 and ResNet-20, dense, with half the filters (filter_l1) and at a quarter of the rank (svd), retrained, under
   each executor and for 1 and 16 images: accuracy as the executor computes it, and dense time / own time.
3. The same float32 model in eight bits, both in onnxruntime: float32 time / int8 time.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from convarium.cli.compare import compare_command_line
from convarium.cli.run import run_points
from convarium.compose.points import compose_points
from convarium.planning.plan import PlannedPoint
from convarium.planning.stage_graph import build_plan
from convarium.stages.time import TimeConfig, time
from convarium.store.store import Store
from convarium.workers.fresh_process import build_fresh_runner
from convarium.workers.runtime import Parent, Runtime

Json = dict[str, Any]
NETWORKS = {
    "LeNet-5": ("architecture=lenet5", "dataset=mnist5k", "recipe.epochs=4"),
    "ResNet-20": ("architecture=resnet20", "dataset=mnist5k", "dataset.train_size=1000", "recipe.epochs=4"),
}
EXECUTORS = ("eager", "compiled", "onnxruntime", "onnxruntime_int8")
BATCHES = (1, 16)
METHODS = ("compression=none,filter_l1,svd", "compression.filter_l1.epochs=2", "compression.svd.epochs=2")
TIMED = (f"measurement.executors=[{','.join(EXECUTORS)}]", f"measurement.batch_sizes=[{','.join(map(str, BATCHES))}]")
HEAD = """# Time on real executors

Made by `.venv/bin/python benchmarks/latency.py`. The network and its dense one take turns in one process, 60 turns
of at least 10 ms, one thread, in three fresh processes: dense time over own time (above 1 is faster), median of
the processes, in brackets their range. Void: in three attempts the dense network's own p90 / p10 exceeded 2, the
processes were more than 15 % apart, or a network was 5 % off itself, so nothing is claimed. Accuracy is that of
the model that was timed, on the test images; int8 is onnxruntime's static quantisation, calibrated on 500
validation images. LeNet-5 on mnist5k, ResNet-20 on 1,000 images of it, four epochs; half the filters (filter_l1)
and a quarter of the rank (svd) are retrained for two epochs. Peak memory under onnxruntime and on a GPU: not
measured.

LeNet-5 against itself, one image, ten whole races (asked: within 5 %, or void):
"""
REPETITIONS = 10
CLOSE = 0.05


def arguments(name: str, store: Path) -> list[str]:
    """Return the command line of a network."""
    return [*NETWORKS[name], *METHODS, *TIMED, f"runtime.store={store}", "runtime.workers=1", "runtime.threads=1"]


def raced(parents: Sequence[Parent], setting: Json) -> Json:
    """Race the first two parents, or the kept models of the last two, as the stage `time` does."""
    folder = Path()
    runtime = Runtime(
        folder=folder, checkpoint_folder=folder, threads=1, accelerator="cpu", data_root=None, report=lambda **_: None,
        check_lease=lambda: None, run_fresh=build_fresh_runner(1, Path("/dev/null")),
    )  # fmt: skip
    return time(TimeConfig(setting, host={}), tuple(parents), runtime)


def parent(store: Store, signature: str) -> Parent:
    """Return a stored result as a stage is given it."""
    folder, done = store.find_folder(signature), store.find_record(signature)
    assert folder is not None, signature
    assert done is not None, signature
    return Parent(signature, folder, done)


def execution(point: PlannedPoint, executor: str) -> str:
    """Return the signature of a point's execution."""
    return point.executions[EXECUTORS.index(executor) - 1]


def told(result: Json) -> str:
    """Return a ratio with its range, or that it is void."""
    if result["void"]:
        return "void"
    low, high = result["speedup_range"]
    return f"{result['metrics']['speedup']:.2f} ({low:.2f} to {high:.2f})"


def against_itself(dense: PlannedPoint, store: Store) -> Iterator[str]:
    """Race a network against itself, again and again."""
    yield "| executor | races | void | farthest ratio from 1 | within 5 % |"
    yield "|---|---|---|---|---|"
    for executor in EXECUTORS:
        kept = [execution(dense, executor)] * 2 if executor.startswith("onnxruntime") else []
        parents = [parent(store, signature) for signature in (dense.network, dense.network, *kept)]
        setting = {"executor": executor, "batch": 1, "threads": 1}
        races = [raced(parents, setting) for _ in range(REPETITIONS)]
        ratios = [race["metrics"]["speedup"] for race in races if not race["void"]]
        far = max((abs(ratio - 1) for ratio in ratios), default=0.0)
        verdict = "all void" if not ratios else "yes" if far <= CLOSE else "no"
        yield f"| {executor} | {REPETITIONS} | {REPETITIONS - len(ratios)} | {100 * far:.1f} % | {verdict} |"


def rows(name: str, store: Path) -> Iterator[str]:
    """Return the lines of one network's table."""
    for row in compare_command_line(arguments(name, store))["rows"]:
        for executor in EXECUTORS:
            found = {one["batch"]: one for one in row["timings"] if one["executor"] == executor}
            first = found[BATCHES[0]]
            ratios = [_ratio(found[batch]) for batch in BATCHES]
            yield (
                f"| {name}, {row['label']} | {executor} | {100 * first['accuracy']:.2f} | "
                f"{100 * first['agreement']:.2f} | {' | '.join(ratios)} |"
            )


def _ratio(timing: Json) -> str:
    if timing["speedup"] is None:
        return "void"
    low, high = timing["speedup_range"]
    return f"{timing['speedup']:.2f} ({low:.2f} to {high:.2f})"


def eight_bits(name: str, points: Sequence[PlannedPoint], labels: Sequence[str], store: Store) -> Iterator[str]:
    """Race each network's int8 model against its own float32 one: both are onnxruntime's."""
    for point, label in zip(points, labels, strict=True):
        signatures = (
            point.network,
            point.network,
            execution(point, "onnxruntime_int8"),
            execution(point, "onnxruntime"),
        )
        parents = [parent(store, signature) for signature in signatures]
        small, large = (one.record["result"]["metrics"] for one in parents[2:])
        ratios = [told(raced(parents, {"executor": "onnxruntime", "batch": batch, "threads": 1})) for batch in BATCHES]
        points_gained = 100 * (small["accuracy"] - large["accuracy"])
        less = large["model_bytes"] / small["model_bytes"]
        yield f"| {name}, {label} | {points_gained:+.2f} | {less:.2f} | {' | '.join(ratios)} |"


def main(store: Path) -> None:
    """Make what is not stored, and print the tables."""
    points: dict[str, tuple[PlannedPoint, ...]] = {}
    for name in NETWORKS:
        _, code = run_points(compose_points(arguments(name, store)), quiet=True)
        assert code == 0, name
        points[name] = build_plan(compose_points(arguments(name, store)).check_points()).points
    print(HEAD)
    print("\n".join(against_itself(points["LeNet-5"][0], Store(store))))
    print("\nAgainst the dense network under the same executor:\n")
    print("| network | executor | test acc % | as eager % | speed-up, 1 image | speed-up, 16 images |")
    print("|---|---|---|---|---|---|")
    for name in NETWORKS:
        print("\n".join(rows(name, store)))
    print("\nThe int8 model against the float32 one, both in onnxruntime:\n")
    print(
        "| network | Δ acc (pp) | model's bytes less | speed-up, 1 image | speed-up, 16 images |\n|---|---|---|---|---|"
    )
    for name in NETWORKS:
        labels = [row["label"] for row in compare_command_line(arguments(name, store))["rows"]]
        print("\n".join(eight_bits(name, points[name], labels, Store(store))))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", type=Path)
    given = parser.parse_args().store
    with TemporaryDirectory() as place:
        main(given or Path(place) / "store")
