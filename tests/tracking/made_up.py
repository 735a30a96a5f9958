"""A store as if a sweep had run: every stage of it made up, with curves, a log and a file for each network."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from convarium.cli.points import ask
from convarium.stages.graph import plan
from convarium.store.plan import Node, Plan
from convarium.store.provenance import provenance
from convarium.store.store import Store

SWEEP = (
    "compression=none,[pruning/magnitude,quantization/kmeans]",
    "compression.magnitude.sparsity=0.8,0.9",
    "seed=0,1",
)
EPOCHS = 8
DENSE_BYTES = 100_000


def sweep(root: Path, overrides: Sequence[str] = SWEEP) -> Plan:
    """Store everything that a command line asks for; return its plan."""
    made, store = planned(root, overrides), Store(root)
    store.prepare()
    for number, node in enumerate(made.nodes.values()):
        finish(store, node, made, number)
    (root / "plans").mkdir(exist_ok=True)
    made.write(root / "plans" / f"{made.hash}.json")
    return made


def planned(root: Path, overrides: Sequence[str] = SWEEP) -> Plan:
    """Return the plan of a command line."""
    return plan(ask([*overrides, f"runtime.store={root}"]).points)


def finish(store: Store, node: Node, made: Plan, number: int) -> None:
    """Store one stage."""
    folder = store.folder(node)
    folder.mkdir(parents=True, exist_ok=True)
    if node.stage in ("train", "compress"):
        (folder / "network.cvm").write_bytes(node.signature.encode() * 100)
        (folder / "log").write_text(f"{node.name}\n")
        (folder / "curves.jsonl").write_text("".join(json.dumps(line) + "\n" for line in _curves(node)))
    (folder / "done.json").write_text(json.dumps(_record(node, made, number)))


def size(node: Node) -> int:
    """Return the bytes that a network's file is said to have."""
    return DENSE_BYTES if node.stage == "train" else 1_000 + int(sha256(node.name.encode()).hexdigest()[:4], 16)


def _curves(node: Node) -> list[dict[str, Any]]:
    epochs = range(1, EPOCHS + 1)
    same = {"phase": node.stage, "epochs": EPOCHS, "lr": 0.1, "seconds": 0.5}
    return [{**same, "epoch": epoch, "loss": 1 / epoch, "validation_accuracy": 1 - 0.1 / epoch} for epoch in epochs]


def _record(node: Node, made: Plan, number: int) -> dict[str, Any]:
    given = {
        key: getattr(node, key) for key in ("signature", "stage", "version", "stage_config", "fingerprint", "name")
    }
    started = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=10 * number)).isoformat()
    when = {"started": started, "seconds": 4.5, "device": "cpu", "threads": 1, "peak_memory_bytes": 1}
    result = _measured(made.nodes[node.parents[0]]) if node.stage == "measure" else {"metrics": {}}
    return {"format": 2, **given, "parents": list(node.parents), "work": 1.0, "result": result, **when, **provenance()}


def _measured(network: Node) -> dict[str, Any]:
    accuracy = 0.9 + 0.1 * (size(network) / DENSE_BYTES) ** 0.5 - 0.01 * (hash(network.signature) % 3)
    figures = {
        "accuracy": min(accuracy, 0.99), "validation_accuracy": min(accuracy, 0.99), "loss": 0.1,
        "balanced_accuracy": 0.9, "validation_balanced_accuracy": 0.9,
        "file_bytes": size(network), "dense_bytes": DENSE_BYTES, "ratio": DENSE_BYTES / size(network),
        "xz_bytes": 90_000, "parameters": 1000, "nonzeros": 900, "macs": 5000,
    }  # fmt: skip
    parts = {"weights": size(network) - 1000, "indices": 600, "header": 400}
    return {"metrics": figures, "correct": "ff" * 50, "images": 400, "bytes": parts}
