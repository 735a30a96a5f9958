"""Runs the stages of a command line in this process, one after the other, without store and workers."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from convarium import lookup
from convarium.compose.points import compose_points
from convarium.planning.plan import Node, Plan
from convarium.planning.stage_graph import build_plan
from convarium.stages.declaration import build_stage_config
from convarium.store.result_folder import ResultFolder
from convarium.workers.runtime import Parent, Runtime


class SimulatedKill(BaseException):
    """What a stage sees of a kill: nothing of its own runs afterwards."""


def plan_command_line(*overrides: str) -> Plan:
    """Compose, check and plan a command line."""
    return build_plan(compose_points(overrides).check_points())


def plan_command_nodes(*overrides: str) -> list[Node]:
    """Return the stages of a command line, parents first."""
    return list(plan_command_line(*overrides).nodes.values())


@dataclass(frozen=True)
class StageHarness:
    """Where stages are made: `<root>/<signature>/` for each, and the checkpoints beside."""

    root: Path
    report: Callable[..., None] = lambda **figures: None
    check: Callable[[], None] = lambda: None

    def network_path(self, node: Node) -> Path:
        """Return the network a stage has made."""
        return ResultFolder(self.root / node.signature).network

    def checkpoints_path(self, node: Node) -> Path:
        """Return what a killed stage has left."""
        return self.root / f"{node.signature}.checkpoints"

    def run_stage(self, node: Node, stage_config: dict[str, Any] | None = None) -> bytes:
        """Run a stage (on other `stage_config` if given), remove its checkpoints, and return the network it wrote."""
        for folder in (self.network_path(node).parent, self.checkpoints_path(node)):
            folder.mkdir(parents=True, exist_ok=True)
        runtime = Runtime(
            folder=self.network_path(node).parent,
            checkpoint_folder=self.checkpoints_path(node),
            threads=1,
            accelerator="cpu",
            data_root=node.runtime.get("root"),
            report=self.report,
            check_lease=self.check,
            run_fresh=lambda *_: None,
        )
        parents = tuple(Parent(signature, self.root / signature, {}) for signature in node.parents)
        with lookup.allow_packages(node.runtime.get("allow", ())):
            config = build_stage_config(node.stage, stage_config or node.stage_config)
            lookup.find_by_name("stages", node.stage)(config, parents, runtime)
        shutil.rmtree(self.checkpoints_path(node))
        return self.network_path(node).read_bytes()

    def killed_at_checkpoint(self, call: int) -> "StageHarness":
        """Return the same, but killed at the `call`-th checkpoint, just before it is written."""
        count = iter(range(1, 1000))

        def check() -> None:
            if next(count) == call:
                raise SimulatedKill

        return replace(self, check=check)
