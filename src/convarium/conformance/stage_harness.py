"""Run the stages of a command line in this process, one after another, without a store or workers."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium import lookup
from convarium.compose.points import compose_points
from convarium.planning.plan import Node, Plan
from convarium.planning.stage_graph import build_plan
from convarium.stages.declaration import build_stage_config
from convarium.store.result_folder import ResultFolder
from convarium.workers.runtime import Parent, Runtime

if TYPE_CHECKING:
    from convarium.tasks.ranks import Ranks


class SimulatedKill(BaseException):
    """Raised in place of a kill; a BaseException, so that no `except Exception` of a stage handles it."""


def plan_command_line(*overrides: str) -> Plan:
    """Compose, check and plan a command line."""
    return build_plan(compose_points(overrides).check_points())


def plan_command_nodes(*overrides: str) -> list[Node]:
    """Return the stages of a command line, parents first."""
    return list(plan_command_line(*overrides).nodes.values())


@dataclass(frozen=True)
class StageHarness:
    """Runs each stage in `<root>/<signature>/`, with its checkpoints in `<root>/<signature>.checkpoints/`.

    Attributes:
        root: the folder of all stages.
        report: receives the figures of each epoch.
        check_lease: called before each checkpoint.
        checkpoint_minutes: as `Runtime` has them.
        ranks: likewise.
    """

    root: Path
    report: Callable[..., None] = lambda **figures: None
    check_lease: Callable[[], None] = lambda: None
    checkpoint_minutes: float | None = None
    ranks: "Ranks | None" = None

    def network_path(self, node: Node) -> Path:
        """Return the path of the network file that a stage writes."""
        return ResultFolder(self.root / node.signature).network

    def checkpoints_path(self, node: Node) -> Path:
        """Return the folder in which a killed stage leaves its checkpoints."""
        return self.root / f"{node.signature}.checkpoints"

    def run_stage(self, node: Node, stage_config: dict[str, Any] | None = None) -> bytes:
        """Run a stage, with another `stage_config` if given, and return the bytes of the network file.

        Its checkpoints are removed when it is done.
        """
        for folder in (self.network_path(node).parent, self.checkpoints_path(node)):
            folder.mkdir(parents=True, exist_ok=True)
        runtime = Runtime(
            folder=self.network_path(node).parent,
            checkpoint_folder=self.checkpoints_path(node),
            threads=1,
            accelerator="cpu",
            data_root=node.runtime.get("root"),
            report=self.report,
            check_lease=self.check_lease,
            run_fresh=lambda *_: None,
            checkpoint_minutes=self.checkpoint_minutes,
            ranks=self.ranks,
        )
        parents = tuple(Parent(signature, self.root / signature, {}) for signature in node.parents)
        with lookup.allow_packages(node.runtime.get("allow", ())):
            config = build_stage_config(node.stage, stage_config or node.stage_config)
            lookup.find_by_name("stages", node.stage)(config, parents, runtime)
        shutil.rmtree(self.checkpoints_path(node))
        return self.network_path(node).read_bytes()

    def killed_at_checkpoint(self, call: int) -> "StageHarness":
        """Return a copy that kills its stage at the `call`-th checkpoint, just before it is written."""
        calls = count(1)

        # A stage that makes a network asks for its lease before each checkpoint, and nowhere else.
        def check_or_kill() -> None:
            if next(calls) == call:
                raise SimulatedKill

        return replace(self, check_lease=check_or_kill)
