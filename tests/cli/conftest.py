"""Commands, called in a folder of the user's own."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from convarium.cli import main
from convarium.cli.points import ask
from convarium.stages.graph import plan
from convarium.store.plan import Node, Plan
from convarium.store.provenance import source
from convarium.store.store import Store

Called = tuple[int, str, str]
Pretend = Callable[..., Plan]


@pytest.fixture
def call(here: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Called]:
    """Call convarium with arguments; returns exit code, stdout, stderr."""

    def called(*arguments: str) -> Called:
        code = main(arguments)
        return code, *capsys.readouterr()

    return called


@pytest.fixture
def pretend(here: Path) -> Pretend:
    """Store the results of a command line as if it had run; returns its plan. `accuracy` by seed."""

    def pretended(line: Sequence[str], root: str = "outputs/store") -> Plan:
        asked = plan(ask(line).accepted())
        store = Store(here / root)
        store.prepare()
        for index, node in enumerate(asked.nodes.values()):
            folder = store.folder(node)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "network.cvm").write_bytes(bytes(1000))
            (folder / "log.txt").write_text(f"log of {node.name}\n")
            (folder / "done.json").write_text(json.dumps(_record(node, index)))
        return asked

    return pretended


def _record(node: Node, index: int) -> dict[str, object]:
    accuracy = 0.9 + int(node.name.rpartition("-s")[2]) / 100 if node.stage == "measure" else None
    metrics = {"accuracy": accuracy, "file_bytes": 9} if accuracy else {}
    done = {
        "format": 2,
        "signature": node.signature,
        "stage": node.stage,
        "version": node.version,
        "stage_config": node.stage_config,
    }
    rest = {"parents": list(node.parents), "fingerprint": node.fingerprint, "name": node.name, "seconds": 1.5}
    result = {"metrics": metrics, "correct": "ff", "images": 8}
    started = f"2026-01-{index + 1:02}T00:00:00.000+00:00"
    return {**done, **rest, "started": started, "source": source(), "work": 1.0, "result": result}
