"""Runs the stages of a command line in this process, one after the other, without store and workers."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from convarium import names
from convarium.cli.points import ask
from convarium.stages.graph import plan
from convarium.store.plan import Node, Plan
from convarium.store.runtime import Parent, Runtime


class Killed(BaseException):
    """What a stage sees of a kill: nothing of its own runs afterwards."""


def planned(*overrides: str) -> Plan:
    """Compose, check and plan a command line."""
    return plan(ask(overrides).accepted())


def nodes(*overrides: str) -> list[Node]:
    """Return the stages of a command line, parents first."""
    return list(planned(*overrides).nodes.values())


@dataclass(frozen=True)
class Bench:
    """Where stages are made: `<root>/<signature>/` for each, and the checkpoints beside."""

    root: Path
    report: Callable[..., None] = lambda **figures: None
    check: Callable[[], None] = lambda: None

    def file(self, node: Node) -> Path:
        """Return the network a stage has made."""
        return self.root / node.signature / "network.cvm"

    def checkpoints(self, node: Node) -> Path:
        """Return what a killed stage has left."""
        return self.root / f"{node.signature}.checkpoints"

    def make(self, node: Node, own: dict[str, Any] | None = None) -> bytes:
        """Run a stage (on other `own` if given), remove its checkpoints, and return the network it wrote."""
        for folder in (self.file(node).parent, self.checkpoints(node)):
            folder.mkdir(parents=True, exist_ok=True)
        runtime = Runtime(
            folder=self.file(node).parent, checkpoints=self.checkpoints(node), threads=1, accelerator="cpu",
            root=node.runtime.get("root"), report=self.report, check=self.check, fresh=lambda *_: None,
        )  # fmt: skip
        parents = tuple(Parent(signature, self.root / signature, {}) for signature in node.parents)
        with names.allowing(node.runtime.get("allow", ())):
            names.find("stages", node.stage)(node.stage_config if own is None else own, parents, runtime)
        shutil.rmtree(self.checkpoints(node))
        return self.file(node).read_bytes()

    def killed_at(self, call: int) -> "Bench":
        """Return the same, but killed at the `call`-th checkpoint, just before it is written."""
        count = iter(range(1, 1000))

        def check() -> None:
            if next(count) == call:
                raise Killed

        return replace(self, check=check)
