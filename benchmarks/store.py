"""A store of 10,000 results: how long the commands take that look at it, each in a fresh process, imports included.

usage: python benchmarks/store.py [REPEATS]

The results are made, not trained: three thousand pipelines (prune, share, code) with their done.json, curves and logs,
a correct bit for each of 10,000 test images as a measurement has them, and a small file in place of the network. The
disk's cache is warm. Asked: `ls` in 2 s, `compare` of 1,000 pipelines in 5 s, `gc --dry-run` in 5 s.
"""

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convarium.planning.plan import Node
    from convarium.store.store import Store

RESULTS, IMAGES, EPOCHS = 10_000, 10_000, 20
THOUSAND = (
    "architecture=lenet5", "dataset=fashion_mnist", "compression=[magnitude,kmeans,huffman]",
    "compression.magnitude.sparsity=range(0.5,0.97,0.024)", "compression.kmeans.bits=range(3,8)", "seed=range(0,10)",
)  # fmt: skip
FURTHER = ("recipe.lr=0.1,0.02,0.01",)
START = datetime(2026, 1, 1, tzinfo=UTC)
FAILED, STOPPED = 50, 50


def fabricate(root: Path) -> str:
    """Write the store; return the signature of a network."""
    from convarium.compose.points import compose_points
    from convarium.planning.stage_graph import build_plan
    from convarium.store.store import Store

    chance, store = random.Random(0), Store(root)
    store.prepare()
    asked = build_plan(
        [*compose_points(THOUSAND).check_points(), *compose_points([*THOUSAND, *FURTHER]).check_points()]
    )
    for index, node in enumerate(list(asked.nodes.values())[: RESULTS + FAILED + STOPPED]):
        if index < RESULTS:
            write_result(store, node, index, chance)
            continue
        folder = _begin_folder(store, node)
        if index < RESULTS + FAILED:
            _write(folder / "failed.json", {"error": "the loss is NaN", "run": "", "mistake": False, "attempts": 1})
    return asked.points[0].network


def write_result(store: "Store", node: "Node", index: int, chance: random.Random) -> None:
    """Write a result as if its stage had run, `index` seconds after the first."""
    folder = _begin_folder(store, node)
    _write(folder / "done.json", _record(node, index, chance))
    if node.stage != "measure":
        (folder / "network.cvm").write_bytes(chance.randbytes(200))


def _begin_folder(store: "Store", node: "Node") -> Path:
    folder = store.folder_of(node)
    folder.mkdir(parents=True)
    _curves(folder, node)
    (folder / "log.txt").write_text(f"# {START.isoformat()}\n")
    return folder


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1))


def _curves(folder: Path, node: "Node") -> None:
    if node.stage != "measure":
        lines = [{"phase": node.stage, "epoch": epoch, "epochs": EPOCHS, "loss": 1 / epoch} for epoch in _epochs()]
        (folder / "curves.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def _epochs() -> Iterator[int]:
    return iter(range(1, EPOCHS + 1))


def _record(node: "Node", index: int, chance: random.Random) -> dict[str, Any]:
    from convarium.host.provenance import collect_provenance

    return {
        "format": 2,
        "signature": node.signature,
        "stage": node.stage,
        "version": node.version,
        "stage_config": node.stage_config,
        "parents": list(node.parents),
        "fingerprint": node.fingerprint,
        "name": node.name,
        "work": node.work,
        "result": _measured(chance) if node.stage == "measure" else {"metrics": {}, "solved": {}},
        "started": (START + timedelta(seconds=index)).isoformat(timespec="milliseconds"),
        "seconds": round(chance.uniform(1, 60), 3),
        "device": "cpu",
        "threads": 1,
        "peak_memory_bytes": chance.randrange(1 << 30),
        **collect_provenance(),
    }


def _measured(chance: random.Random) -> dict[str, Any]:
    bits = [chance.random() < 0.9 for _ in range(IMAGES)]
    right = sum(bits)
    size = chance.randrange(10_000, 100_000)
    return {
        "metrics": {
            "accuracy": right / IMAGES, "validation_accuracy": right / IMAGES, "balanced_accuracy": right / IMAGES,
            "validation_balanced_accuracy": right / IMAGES, "loss": chance.random(), "file_bytes": size,
            "dense_bytes": 177_000, "ratio": 177_000 / size, "xz_bytes": size + 9, "parameters": 44_426,
            "nonzeros": 4_443, "macs": 286_120,
        },
        "correct": int("".join("1" if bit else "0" for bit in bits), 2).to_bytes(IMAGES // 8).hex(),
        "images": IMAGES,
        "per_class": {"images": [IMAGES // 10] * 10, "right": [right // 10] * 10},
    }  # fmt: skip


def seconds(command: list[str]) -> tuple[float, float]:
    """Return the wall time of one run of a command that must succeed, and the processor's."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def commands(root: Path, network: str) -> dict[str, tuple[list[str], float | None]]:
    """Return what is timed, and how long it may take."""
    store = f"runtime.store={root}"
    return {
        "ls": (["ls", store], 2.0),
        "ls --json": (["ls", "--json", store], 2.0),
        "ls --where 'accuracy>0.905'": (["ls", "--where", "accuracy>0.905", store], 2.0),
        "ls recipe.lr=0.1": (["ls", "recipe.lr=0.1", store], 2.0),
        "compare of 1,000 pipelines": (["compare", *THOUSAND, store], 5.0),
        "compare of all": (["compare", store], None),
        "gc --dry-run": (["gc", "--dry-run", store], 5.0),
        "status of 1,000 pipelines": (["status", *THOUSAND, store], None),
        "show": (["show", network, store], None),
        "diff": (["diff", network, store], None),
        "store merge --dry-run": (["store", "merge", "--dry-run", str(root), f"runtime.store={root.parent}/new"], None),
    }


def main(repeats: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "store"
        network = fabricate(root)
        timed = commands(root, network)
        convarium = [sys.executable, "-m", "convarium"]
        print("| command | s | at most | processor s |\n|---|---|---|---|")
        for told, (arguments, bound) in timed.items():
            found = [seconds([*convarium, *arguments]) for _ in range(repeats + 1)][1:]
            wall, processor = (median(times) for times in zip(*found, strict=True))
            asked = "" if bound is None else f"{bound:g}"
            print(f"| `{told}` | {wall:.2f} | {asked} | {processor:.2f} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
