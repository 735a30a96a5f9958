"""A plan: the graph of stages that a command asks for."""

from collections.abc import Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from convarium.errors import UserError
from convarium.store.signature import compute_signature


@dataclass(frozen=True)
class Node:
    """One stage to run.

    Attributes:
        stage_config: everything the stage reads, and nothing else; hashed.
        parents: signatures of the results it starts from; hashed.
        fingerprint: of the dataset's content; hashed.
        name: for people, such as "lenet5-mnist5k-s0".
        runtime: where and how to run (root, accelerator, threads, the hardware that it is for); never hashed.
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
        measure: of the network's quality; of a search's trial, of its score.
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
    """All stages (by signature, parents first) of all points.

    Attributes:
        goals: of a plan that was read without its points: the signatures of their networks and figures, in the order
            of the points.
    """

    nodes: dict[str, Node]
    points: tuple[PlannedPoint, ...]
    goals: tuple[str, ...] | None = None

    @cached_property
    def ordered_goals(self) -> tuple[str, ...]:
        """The signatures of every point's network and figures, in their order; those of all nodes in a plan without."""
        if self.goals is not None:
            return self.goals
        signatures = [signature for point in self.points for signature in (point.network, *point.figure_signatures)]
        return tuple(dict.fromkeys(signatures or self.nodes))

    @cached_property
    def goal_signatures(self) -> frozenset[str]:
        """The signatures of `ordered_goals`."""
        return frozenset(self.ordered_goals)

    def select_needed(self, done_signatures: Set[str]) -> set[str]:
        """Return the nodes that must run for every point to have its network and its figures.

        A missing node is not needed where all that starts from it is done.
        """
        signatures: Set[str] = self.goal_signatures
        needed: set[str] = set()
        while signatures:
            missing = signatures - done_signatures
            needed |= missing
            parents = {parent for signature in missing for parent in self.nodes[signature].parents}
            signatures = parents - needed
        return needed

    def check_complete(self) -> None:
        """Check that all parents and goals are among the nodes.

        Raises:
            UserError: one is not.
        """
        parents = {parent for node in self.nodes.values() for parent in node.parents}
        gaps = sorted((parents | self.goal_signatures) - self.nodes.keys())
        if gaps:
            raise UserError(f"the stage {gaps[0]} is not there")
