"""A store as if a sweep had run: every stage of it made up, with curves, a log and a file for each network."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from convarium.compose.points import compose_points
from convarium.host.provenance import collect_provenance
from convarium.planning.plan import Node, Plan
from convarium.planning.plan_file import write_plan
from convarium.planning.stage_graph import build_plan
from convarium.store.store import Store

SWEEP = (
    "compression=none,[pruning/magnitude,quantization/kmeans]",
    "compression.magnitude.sparsity=0.8,0.9",
    "seed=0,1",
)
EPOCHS = 8
FIRST_START = datetime(2026, 1, 1, tzinfo=UTC)
STAGE_PITCH_SECONDS, STAGE_SECONDS = 10, 4.5
DENSE_BYTES = 100_000


def store_fake_sweep(root: Path, overrides: Sequence[str] = SWEEP) -> Plan:
    """Store everything that a command line asks for; return its plan."""
    made, store = plan_sweep(root, overrides), Store(root)
    store.prepare()
    for number, node in enumerate(made.nodes.values()):
        store_fake_stage(store, node, made, number)
    (root / "plans").mkdir(exist_ok=True)
    write_plan(made, root / "plans")
    return made


def plan_sweep(root: Path, overrides: Sequence[str] = SWEEP) -> Plan:
    """Return the plan of a command line."""
    return build_plan(compose_points([*overrides, f"runtime.store={root}"]).points)


def store_fake_stage(store: Store, node: Node, made: Plan, number: int) -> None:
    """Store one stage."""
    folder = store.folder_of(node)
    folder.mkdir(parents=True, exist_ok=True)
    if node.stage in ("train", "compress"):
        (folder / "network.cvm").write_bytes(node.signature.encode() * 100)
        (folder / "log").write_text(f"{node.name}\n")
        (folder / "curves.jsonl").write_text("".join(json.dumps(line) + "\n" for line in _build_curves(node)))
    (folder / "done.json").write_text(json.dumps(_build_record(node, made, number)))


def get_fake_file_bytes(node: Node) -> int:
    """Return the bytes that a network's file is said to have."""
    return DENSE_BYTES if node.stage == "train" else 1_000 + int(sha256(node.name.encode()).hexdigest()[:4], 16)


def _build_curves(node: Node) -> list[dict[str, Any]]:
    epochs = range(1, EPOCHS + 1)
    same = {"phase": node.stage, "epochs": EPOCHS, "lr": 0.1, "seconds": 0.5}
    return [{**same, "epoch": epoch, "loss": 1 / epoch, "validation_accuracy": 1 - 0.1 / epoch} for epoch in epochs]


def _build_record(node: Node, made: Plan, number: int) -> dict[str, Any]:
    given = {
        key: getattr(node, key) for key in ("signature", "stage", "version", "stage_config", "fingerprint", "name")
    }
    started = (FIRST_START + timedelta(seconds=STAGE_PITCH_SECONDS * number)).isoformat()
    when = {"started": started, "seconds": STAGE_SECONDS, "device": "cpu", "threads": 1, "peak_memory_bytes": 1}
    result = _build_measurement(made.nodes[node.parents[0]]) if node.stage == "measure" else {"metrics": {}}
    return {
        "format": 2,
        **given,
        "parents": list(node.parents),
        "work": 1.0,
        "result": result,
        **when,
        **collect_provenance(),
    }


def _build_measurement(network: Node) -> dict[str, Any]:
    accuracy = 0.9 + 0.1 * (get_fake_file_bytes(network) / DENSE_BYTES) ** 0.5 - 0.01 * (hash(network.signature) % 3)
    figures = {
        "accuracy": min(accuracy, 0.99),
        "validation_accuracy": min(accuracy, 0.99),
        "loss": 0.1,
        "balanced_accuracy": 0.9,
        "validation_balanced_accuracy": 0.9,
        "file_bytes": get_fake_file_bytes(network),
        "dense_bytes": DENSE_BYTES,
        "ratio": DENSE_BYTES / get_fake_file_bytes(network),
        "xz_bytes": 90_000,
        "parameters": 1000,
        "nonzeros": 900,
        "macs": 5000,
    }
    parts = {"weights": get_fake_file_bytes(network) - 1000, "indices": 600, "header": 400}
    return {"metrics": figures, "correct": "ff" * 50, "images": 400, "bytes": parts}
