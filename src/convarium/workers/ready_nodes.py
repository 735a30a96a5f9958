"""What of a plan can be done next, and in which order."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from convarium.planning.duration_estimate import estimate_default_seconds
from convarium.planning.plan import Node, Plan
from convarium.store.store import Store


@dataclass(frozen=True)
class PlanState:
    """Where a plan stands: signatures that are done, that failed (with the record), that can't be done because of
    those, and that could begin now."""

    done: frozenset[str]
    failed: Mapping[str, dict[str, Any]]
    blocked: frozenset[str]
    ready: tuple[Node, ...]

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left that could still be done: no node is ready or waits for one that is."""
        return not self.ready


class PlanMonitor:
    """A plan's nodes in the order in which workers should take them."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._ranks = rank_nodes(plan)

    def read_state(self, store: Store, run_id: str, known_done: Iterable[str] = ()) -> PlanState:
        """Look through the store; `known_done` were done before, failures of other runs don't count."""
        known = frozenset(known_done)
        finished = known | store.select_finished(self.plan.nodes.keys() - known)
        needed = self.plan.select_needed(finished)
        open_nodes = [self.plan.nodes[key] for key in self.plan.nodes if key in needed]
        failed = store.find_failures([node.signature for node in open_nodes], run_id)
        blocked: set[str] = set()
        ready: list[Node] = []
        for node in open_nodes:
            if any(parent in failed or parent in blocked for parent in node.parents):
                blocked.add(node.signature)
            elif node.signature not in failed and finished.issuperset(node.parents):
                ready.append(node)
        ready.sort(key=lambda node: self._ranks[node.signature])
        return PlanState(finished, failed, frozenset(blocked), tuple(ready))


def rank_nodes(plan: Plan) -> dict[str, tuple[float, int, int]]:
    """Return each node's place: the longest remaining path first, then parents of many, then the plan's order."""
    children: defaultdict[str, list[str]] = defaultdict(list)
    for signature, node in plan.nodes.items():
        for parent in node.parents:
            children[parent].append(signature)
    path: dict[str, float] = {}
    for signature, node in reversed(plan.nodes.items()):
        path[signature] = estimate_default_seconds(node) + max(
            (path[child] for child in children[signature]), default=0.0
        )
    order = {signature: index for index, signature in enumerate(plan.nodes)}
    return {signature: (-path[signature], -len(children[signature]), order[signature]) for signature in plan.nodes}
