"""What of a plan can be done next, and in which order."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from convarium.store.estimate import seconds_by_default
from convarium.store.plan import Node, Plan
from convarium.store.store import Store


@dataclass(frozen=True)
class Survey:
    """Where a plan stands: signatures that are done, that failed (with the record), that can't be done because of
    those, and that could begin now."""

    done: frozenset[str]
    failed: Mapping[str, dict[str, Any]]
    blocked: frozenset[str]
    ready: tuple[Node, ...]

    @property
    def is_over(self) -> bool:
        """Whether nothing is left that could still be done: no node is ready or waits for one that is."""
        return not self.ready


class Schedule:
    """A plan's nodes in the order in which workers should take them."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._rank = ranks(plan)

    def survey(self, store: Store, run: str, done: Iterable[str] = ()) -> Survey:
        """Look through the store; `done` were done before, failures of other runs don't count."""
        known = frozenset(done)
        finished = known | store.finished(self.plan.nodes.keys() - known)
        needed = self.plan.needed(finished)
        open_nodes = [self.plan.nodes[key] for key in self.plan.nodes if key in needed]
        failed = store.failures([node.signature for node in open_nodes], run)
        blocked: set[str] = set()
        ready: list[Node] = []
        for node in open_nodes:
            if any(parent in failed or parent in blocked for parent in node.parents):
                blocked.add(node.signature)
            elif node.signature not in failed and finished.issuperset(node.parents):
                ready.append(node)
        ready.sort(key=lambda node: self._rank[node.signature])
        return Survey(finished, failed, frozenset(blocked), tuple(ready))


def ranks(plan: Plan) -> dict[str, tuple[float, int, int]]:
    """Return each node's place: the longest remaining path first, then parents of many, then the plan's order."""
    children: defaultdict[str, list[str]] = defaultdict(list)
    for signature, node in plan.nodes.items():
        for parent in node.parents:
            children[parent].append(signature)
    path: dict[str, float] = {}
    for signature, node in reversed(plan.nodes.items()):
        path[signature] = seconds_by_default(node) + max((path[child] for child in children[signature]), default=0.0)
    order = {signature: index for index, signature in enumerate(plan.nodes)}
    return {signature: (-path[signature], -len(children[signature]), order[signature]) for signature in plan.nodes}
