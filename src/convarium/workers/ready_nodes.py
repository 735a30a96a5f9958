"""Which nodes of a plan can run next, and in which order."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from convarium.planning.duration_estimate import estimate_default_seconds
from convarium.planning.plan import Node, Plan
from convarium.stages.declaration import makes_network
from convarium.stages.measure import STAGE as MEASURE
from convarium.stages.score import STAGE as SCORE
from convarium.store.store import Store

# With fewer networks left to make, how evenly they are spread over the workers decides when the run ends.
LAST_NETWORKS_PER_WORKER = 2
MEASURING_STAGES = (MEASURE.name, SCORE.name)


@dataclass(frozen=True)
class PlanState:
    """State of a plan's nodes at one look at the store.

    Attributes:
        done: signatures of the stored results.
        failed: record of each failure, by signature.
        blocked: signatures of nodes with a failed node among their ancestors.
        ready: nodes that are not done and have all parents done, in the order in which the worker should take them.
    """

    done: frozenset[str]
    failed: Mapping[str, dict[str, Any]]
    blocked: frozenset[str]
    ready: tuple[Node, ...]

    @property
    def is_finished(self) -> bool:
        """Whether no node is left to run: none is ready, and so none waits for a ready one."""
        return not self.ready


@dataclass(frozen=True)
class NodeRank:
    """What decides when a ready node is taken; of two nodes the one with the smaller value goes first.

    Attributes:
        by_goal: in an open run, the goals in their order; the same for all nodes of a closed one.
        by_path: longest remaining path first, then most children, then the plan's order: the shortest run.
        by_depth: most stages before it first, so that a pipeline that has begun is finished; then the fewest stages
            until something is measured.
        is_measure: whether it gives a row of the comparison, or a search's trial, its figures.
    """

    by_goal: int
    by_path: tuple[float, int, int]
    by_depth: tuple[int, float]
    is_measure: bool


class PlanMonitor:
    """Reads the state of a plan's nodes from the store.

    Args:
        workers: how many share the plan.
        worker_number: of the worker that asks. Number 0 finishes the pipelines that have begun, so that rows of the
            comparison come early; the others take the longest path, so that the run doesn't end with one long chain.
        is_open: whether the plan is that of an open run, in which the nodes of an earlier goal go first.
    """

    def __init__(self, plan: Plan, workers: int = 1, worker_number: int = 0, is_open: bool = False) -> None:
        self.plan = plan
        self._ranks = rank_nodes(plan, is_open)
        self._workers = workers
        self._finishes_pipelines = worker_number == 0
        self._is_near_end = False

    def read_state(self, store: Store, run_id: str, known_done: Iterable[str] = ()) -> PlanState:
        """Return the state of the plan's nodes.

        Args:
            run_id: its failures count; those of other runs only where a budget is not reachable or a folder unreadable.
            known_done: signatures that an earlier call found done; their results are not looked for again.
        """
        earlier_done = frozenset(known_done)
        done = earlier_done | store.select_finished(
            signature for signature in self.plan.nodes if signature not in earlier_done
        )
        needed = self.plan.select_needed(done)
        open_nodes = [node for signature, node in self.plan.nodes.items() if signature in needed]
        failed = store.find_failures([node.signature for node in open_nodes], run_id)
        blocked: set[str] = set()
        ready: list[Node] = []
        for node in open_nodes:  # a plan lists parents first, so that `blocked` spreads from parent to child
            if any(parent in failed or parent in blocked for parent in node.parents):
                blocked.add(node.signature)
            elif node.signature not in failed and done.issuperset(node.parents):
                ready.append(node)
        network_count = sum(makes_network(node.stage) for node in open_nodes)
        self._is_near_end = self._workers > 1 and network_count <= LAST_NETWORKS_PER_WORKER * self._workers
        ready.sort(key=self.build_sort_key)
        return PlanState(done, failed, frozenset(blocked), tuple(ready))

    def build_sort_key(self, node: Node) -> tuple[float, ...]:
        """Return the key of the order in which the worker should take nodes; its last entry is the plan's order."""
        rank = self._ranks[node.signature]
        if self._is_near_end:
            return rank.by_goal, *rank.by_path
        by_depth = rank.by_depth if self._finishes_pipelines else ()
        return rank.by_goal, not rank.is_measure, *by_depth, *rank.by_path


def rank_nodes(plan: Plan, is_open: bool = False) -> dict[str, NodeRank]:
    """Return the rank of each node by its signature."""
    first_goals = _find_first_goals(plan) if is_open else {}
    children: defaultdict[str, list[str]] = defaultdict(list)
    for signature, node in plan.nodes.items():
        for parent in node.parents:
            children[parent].append(signature)
    path_seconds: dict[str, float] = {}
    stages_to_measure: dict[str, float] = {}
    for signature, node in reversed(plan.nodes.items()):
        longest_child_path = max((path_seconds[child] for child in children[signature]), default=0.0)
        path_seconds[signature] = estimate_default_seconds(node) + longest_child_path
        stages_after = 1 + min((stages_to_measure[child] for child in children[signature]), default=math.inf)
        stages_to_measure[signature] = 0 if node.stage in MEASURING_STAGES else stages_after
    depths: dict[str, int] = {}
    ranks: dict[str, NodeRank] = {}
    for position, (signature, node) in enumerate(plan.nodes.items()):
        depths[signature] = 1 + max((depths[parent] for parent in node.parents), default=0)
        by_path = (-path_seconds[signature], -len(children[signature]), position)
        by_depth = (-depths[signature], stages_to_measure[signature])
        by_goal = first_goals.get(signature, 0)
        ranks[signature] = NodeRank(by_goal, by_path, by_depth, node.stage in MEASURING_STAGES)
    return ranks


def _find_first_goals(plan: Plan) -> dict[str, int]:
    """Return the position of the first goal that needs a node, by the node's signature."""
    positions: dict[str, int] = {}
    for position, goal in enumerate(plan.ordered_goals):
        signatures = [goal]
        while signatures:
            signature = signatures.pop()
            if signature not in positions:
                positions[signature] = position
                signatures += plan.nodes[signature].parents
    return positions
