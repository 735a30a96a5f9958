"""A sweep stored as if it had run, its report, and a browser to open it with."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convarium.cli import main
from convarium.compose.points import compose_points
from convarium.host.provenance import collect_provenance
from convarium.planning.plan import Node, Plan
from convarium.planning.plan_file import write_plan
from convarium.planning.stage_graph import build_plan
from convarium.store.answers import ImageAnswers, write_answers
from convarium.store.store import Store

SWEEP = (
    "compression=none,pruning/magnitude,pruning/random,quantization/kmeans",
    "compression.magnitude.sparsity=0.5,0.9",
    "measurement.executors=[eager]",
    "seed=0,1,2",
)
IMAGES = 400
CLASSES = 10
FILE_BYTES = {"none": 100_000, "magnitude0.5": 60_000, "magnitude0.9": 14_000, "random0.9": 14_100, "kmeans5": 20_000}
WRONG_IMAGES = {"none": 20, "magnitude0.5": 16, "magnitude0.9": 30, "random0.9": 160, "kmeans5": 24}


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of SWEEP, every stage of it made up."""
    root = tmp_path_factory.mktemp("report") / "store"
    store, made = Store(root), build_plan(compose_points(SWEEP).points)
    for number, node in enumerate(made.nodes.values()):
        folder = store.folder_of(node)
        folder.mkdir(parents=True)
        (folder / "done.json").write_text(json.dumps(_build_record(node, made, number)))
        if node.stage in ("train", "compress"):
            lines = [
                {"phase": node.stage, "epoch": e, "loss": 1 / e, "validation_accuracy": 1 - 0.1 / e} for e in (1, 2, 3)
            ]
            (folder / "curves.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        if node.stage == "measure":
            write_answers(folder / "answers.npz", build_answers(made.nodes[node.parents[0]]))
    write_plan(made, _make_folder(root / "plans"))
    return root


@pytest.fixture(scope="session")
def report(stored: Path) -> Path:
    """A page and a table of SWEEP, made by the command."""
    file = stored.parent / "report.html"
    assert (
        main(
            [
                "compare",
                *SWEEP,
                f"runtime.store={stored}",
                "--html",
                str(file),
                "--csv",
                str(stored.parent / "table.csv"),
            ]
        )
        == 0
    )
    return file


@pytest.fixture
def read() -> Callable[[Path], dict[str, Any]]:
    """Read the document that a page holds."""

    def found(file: Path) -> dict[str, Any]:
        text = file.read_text(encoding="utf-8")
        document: dict[str, Any] = json.loads(text.split('id="data">')[1].split("</script>")[0])
        return document

    return found


def _make_folder(path: Path) -> Path:
    path.mkdir()
    return path


def _build_record(node: Node, made: Plan, number: int) -> dict[str, Any]:
    given = {
        key: getattr(node, key) for key in ("signature", "stage", "version", "stage_config", "fingerprint", "name")
    }
    when = {"started": f"2026-01-01T00:{number:02}:00", "seconds": 1.5, "device": "cpu", "threads": 1}
    return {
        "format": 2,
        **given,
        "parents": list(node.parents),
        "result": _build_result(node, made),
        **when,
        **collect_provenance(),
    }


def _build_result(node: Node, made: Plan) -> dict[str, Any]:
    network = made.nodes[node.parents[0]] if node.parents else node
    kind = _find_kind(network)
    size, share = FILE_BYTES[kind], FILE_BYTES[kind] / FILE_BYTES["none"]
    if node.stage == "time":
        return {
            "metrics": {"latency_ms": 1 + share, "speedup": 2 / (1 + share), "peak_memory_bytes": 1e6},
            "void": False,
            "range": [],
        }
    if node.stage != "measure":
        return {"metrics": {}}
    correct = build_answers(network).predicted == build_answers(network).labels
    metrics = {
        "accuracy": float(correct.mean()), "validation_accuracy": 1 - WRONG_IMAGES[kind] / IMAGES, "loss": 0.1,
        "file_bytes": size, "dense_bytes": FILE_BYTES["none"], "ratio": 1 / share, "xz_bytes": 90_000,
        "parameters": 1000, "nonzeros": 900,
        "macs": 5000 if kind != "magnitude0.5" else 2500,
    }  # fmt: skip
    return {
        "metrics": metrics, "correct": np.packbits(correct).tobytes().hex(), "images": IMAGES,
        "bytes": {"weights": size - 1000, "indices": 600, "header": 400},
    }  # fmt: skip


def build_answers(network: Node) -> ImageAnswers:
    """Return answers of which the first are wrong: each says the next class."""
    labels = np.arange(IMAGES) % CLASSES
    predicted, losses = labels.copy(), np.full(IMAGES, 0.25)
    wrong = WRONG_IMAGES[_find_kind(network)] + parse_seed(network.name)
    predicted[:wrong] = (labels[:wrong] + 1) % CLASSES
    losses[:wrong] = np.linspace(2, 4, wrong)
    return ImageAnswers(labels, predicted, losses)


def parse_seed(name: str) -> int:
    """Return the seed that a stage's name ends with."""
    return int(name.rpartition("-s")[2])


def _find_kind(network: Node) -> str:
    return next((kind for kind in FILE_BYTES if f"-{kind}-" in network.name), "none")
