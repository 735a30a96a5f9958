"""A plan: the graph of stages that a command asks for, frozen in a file that workers read."""

from collections.abc import Mapping, Set
from dataclasses import asdict, dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from convarium.errors import UserError
from convarium.store import disk
from convarium.store.signature import canonical_json, compute_signature

PLAN_FORMAT = 3  # of the file: raised when a field changes, so that workers refuse what they would misread


@dataclass(frozen=True)
class Node:
    """One stage to run.

    Attributes:
        stage_config: everything the stage reads, and nothing else; hashed.
        parents: signatures of the results it starts from; hashed.
        fingerprint: of the dataset's content; hashed.
        name: for people, such as "lenet5-mnist5k-s0".
        runtime: where and how to run (root, accelerator, threads); never hashed.
        work: epochs x training images, from which the duration is estimated; 0 where nothing is trained.
    """

    stage: str
    version: int
    stage_config: dict[str, Any]
    parents: tuple[str, ...]
    fingerprint: str | None
    name: str
    runtime: dict[str, Any] = field(default_factory=dict)
    work: float = 0.0

    @cached_property
    def signature(self) -> str:
        """The 12 hex digits that identify the result."""
        return compute_signature(self.stage, self.version, self.stage_config, self.parents, self.fingerprint)


@dataclass(frozen=True)
class PlannedPoint:
    """One point of a command line: its config, and the signatures of the results that answer it.

    Attributes:
        network: of the stage that makes the last network of the chain.
        dense: of the stage that makes the network before compression.
        measure: of the network's quality.
        executions: of its quality under each executor but eager.
        times: of its latency under each executor, at each batch size, in the order of the config.
    """

    overrides: tuple[str, ...]
    config: dict[str, Any]
    network: str
    dense: str
    measure: str
    executions: tuple[str, ...] = ()
    times: tuple[str, ...] = ()

    @property
    def figure_signatures(self) -> tuple[str, ...]:
        """Signatures of the stages that measure the network."""
        return self.measure, *self.executions, *self.times


@dataclass(frozen=True)
class Plan:
    """All stages (by signature, parents first) of all points."""

    nodes: dict[str, Node]
    points: tuple[PlannedPoint, ...]

    def select_needed(self, done_signatures: Set[str]) -> set[str]:
        """Return the nodes that must run for every point to have its network and its figures.

        A missing node is not needed where all that starts from it is done; a plan without points needs all its nodes.
        """
        goals = self._collect_goals() or set(self.nodes)
        needed: set[str] = set()
        while goals:
            missing = goals - done_signatures
            needed |= missing
            parents = {parent for signature in missing for parent in self.nodes[signature].parents}
            goals = parents - needed
        return needed

    @cached_property
    def content_hash(self) -> str:
        """The first 16 hex digits of sha256 over the plan as canonical JSON."""
        return sha256(canonical_json(self._to_json()).encode()).hexdigest()[:16]

    def write(self, path: Path) -> None:
        """Write the plan to a file in one step."""
        disk.write_json(path, self._to_json())

    @staticmethod
    def read(path: Path) -> "Plan":
        """Read a plan.

        Raises:
            UserError: there is no file, or it is not a plan, is damaged or has another format.
        """
        document = disk.read_json_object(path, {"format": int})
        if document is None or document["format"] != PLAN_FORMAT:
            raise UserError(f"{path} is not a plan of format {PLAN_FORMAT}")
        try:
            nodes = [Node(**{**fields, "parents": tuple(fields["parents"])}) for fields in document["nodes"]]
            points = [PlannedPoint(**_lists_to_tuples(fields)) for fields in document["points"]]
            plan = Plan(nodes={node.signature: node for node in nodes}, points=tuple(points))
            plan._check_complete()
        except (AttributeError, KeyError, TypeError, UserError) as error:
            raise UserError(f"{path} is damaged: it is not a complete plan ({error})") from None
        return plan

    def _check_complete(self) -> None:
        parents = {parent for node in self.nodes.values() for parent in node.parents}
        gaps = sorted((parents | self._collect_goals()) - self.nodes.keys())
        if gaps:
            raise UserError(f"the stage {gaps[0]} is not there")

    def _collect_goals(self) -> set[str]:
        """Return the signatures of every point's network and figures."""
        return {signature for point in self.points for signature in (point.network, *point.figure_signatures)}

    def _to_json(self) -> dict[str, Any]:
        return {
            "format": PLAN_FORMAT,
            "nodes": [_tuples_to_lists(asdict(node)) for node in self.nodes.values()],
            "points": [_tuples_to_lists(asdict(point)) for point in self.points],
        }


def _tuples_to_lists(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}


def _lists_to_tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
