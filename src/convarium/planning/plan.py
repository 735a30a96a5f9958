"""What a command asks for: a graph of stages, frozen in a file that workers read."""

from collections.abc import Mapping, Set
from dataclasses import asdict, dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from convarium.errors import UserError
from convarium.store import disk
from convarium.store.signature import canonical_json, compute_signature

PLAN_FORMAT = 3


@dataclass(frozen=True)
class Node:
    """One stage to run.

    Attributes:
        stage_config: everything the stage reads, and nothing else; hashed.
        parents: signatures of the results it starts from; hashed.
        fingerprint: the data's content; hashed.
        name: for people, such as "lenet5-mnist5k-s0".
        runtime: where and how to run (root, accelerator, threads); never hashed.
        work: size of the stage in the unit of its kind (epochs x images), to estimate time.
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
        """The 12 digits that identify the result."""
        return compute_signature(self.stage, self.version, self.stage_config, self.parents, self.fingerprint)


@dataclass(frozen=True)
class PlannedPoint:
    """One point of a command line: its config, and the signatures of its network, dense network and figures.

    Attributes:
        executions: of its quality under each executor but eager.
        times: of its latency under each executor, with each number of images a pass, as its config lists them.
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
        """The stages whose results answer the point."""
        return self.measure, *self.executions, *self.times


@dataclass(frozen=True)
class Plan:
    """All stages (by signature, parents first) of all points."""

    nodes: dict[str, Node]
    points: tuple[PlannedPoint, ...]

    def select_needed(self, done_signatures: Set[str]) -> set[str]:
        """Return the nodes that must run for every point to have its network and its figures.

        What lies only behind results that are there is not needed; a plan without points wants all its nodes.
        """
        goals = {goal for point in self.points for goal in (point.network, *point.figure_signatures)} or set(self.nodes)
        found: set[str] = set()
        while goals:
            found |= goals - done_signatures
            goals = {parent for goal in goals - done_signatures for parent in self.nodes[goal].parents} - found
        return found

    @cached_property
    def content_hash(self) -> str:
        """Identity of the plan's content."""
        return sha256(canonical_json(self._to_json()).encode()).hexdigest()[:16]

    def write(self, path: Path) -> None:
        """Write the plan to a file in one step."""
        disk.write_json(path, self._to_json())

    @staticmethod
    def read(path: Path) -> "Plan":
        """Read a plan.

        Raises:
            UserError: no file, no plan, a damaged one, or another format.
        """
        document = disk.read_json_object(path, {"format": int})
        if document is None or document["format"] != PLAN_FORMAT:
            raise UserError(f"{path} is not a plan of format {PLAN_FORMAT}")
        try:
            nodes = [_parse_node(fields) for fields in document["nodes"]]
            points = tuple(PlannedPoint(**_lists_to_tuples(fields)) for fields in document["points"])
            plan = Plan(nodes={node.signature: node for node in nodes}, points=points)
            plan._check_complete()
        except (AttributeError, KeyError, TypeError, UserError) as error:
            raise UserError(f"{path} is damaged: it is not a complete plan ({error})") from None
        return plan

    def _check_complete(self) -> None:
        asked = {parent for node in self.nodes.values() for parent in node.parents}
        asked |= {signature for point in self.points for signature in (point.network, *point.figure_signatures)}
        if gaps := sorted(asked - self.nodes.keys()):
            raise UserError(f"the stage {gaps[0]} is not there")

    def _to_json(self) -> dict[str, Any]:
        nodes = [asdict(node) | {"parents": list(node.parents)} for node in self.nodes.values()]
        points = [{key: _tuple_to_list(value) for key, value in asdict(point).items()} for point in self.points]
        return {"format": PLAN_FORMAT, "nodes": nodes, "points": points}


def _tuple_to_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _lists_to_tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}


def _parse_node(fields: Mapping[str, Any]) -> Node:
    return Node(**{**fields, "parents": tuple(fields["parents"])})
