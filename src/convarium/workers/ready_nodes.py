"""Which nodes of a plan can run next, and in which order."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from convarium.planning.duration_estimate import estimate_default_seconds
from convarium.planning.plan import Node, Plan
from convarium.store.store import Store


@dataclass(frozen=True)
class PlanState:
    """State of a plan's nodes at one look at the store.

    Attributes:
        done: signatures of the stored results.
        failed: record of each failure, by signature.
        blocked: signatures of nodes with a failed node among their ancestors.
        ready: nodes that are not done and have all parents done, in the order in which workers should take them.
    """

    done: frozenset[str]
    failed: Mapping[str, dict[str, Any]]
    blocked: frozenset[str]
    ready: tuple[Node, ...]

    @property
    def is_finished(self) -> bool:
        """Whether no node is left to run: none is ready, and so none waits for a ready one."""
        return not self.ready


class PlanMonitor:
    """Reads the state of a plan's nodes from the store."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._ranks = rank_nodes(plan)

    def find_rank(self, node: Node) -> tuple[float, int, int]:
        """Return the sort key of a node, whose last entry is its position in the plan."""
        return self._ranks[node.signature]

    def read_state(self, store: Store, run_id: str, known_done: Iterable[str] = ()) -> PlanState:
        """Return the state of the plan's nodes.

        Args:
            run_id: its failures count; those of other runs only where a budget is not reachable or a folder unreadable.
            known_done: signatures that an earlier call found done; their results are not looked for again.
        """
        earlier_done = frozenset(known_done)
        done = earlier_done | store.select_finished(self.plan.nodes.keys() - earlier_done)
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
        ready.sort(key=self.find_rank)
        return PlanState(done, failed, frozenset(blocked), tuple(ready))


def rank_nodes(plan: Plan) -> dict[str, tuple[float, int, int]]:
    """Return a sort key for each node: longest remaining path first, then most children, then the plan's order."""
    children: defaultdict[str, list[str]] = defaultdict(list)
    for signature, node in plan.nodes.items():
        for parent in node.parents:
            children[parent].append(signature)
    path_seconds: dict[str, float] = {}
    for signature, node in reversed(plan.nodes.items()):
        longest_child_path = max((path_seconds[child] for child in children[signature]), default=0.0)
        path_seconds[signature] = estimate_default_seconds(node) + longest_child_path
    ranks: dict[str, tuple[float, int, int]] = {}
    for position, signature in enumerate(plan.nodes):
        ranks[signature] = (-path_seconds[signature], -len(children[signature]), position)
    return ranks
