"""How the nodes of a plan ended."""

from dataclasses import dataclass, replace

from convarium.planning.plan import Plan
from convarium.workers.ready_nodes import PlanState


@dataclass(frozen=True)
class NodeStatus:
    """How a node ended.

    Attributes:
        state: "done", "failed", "blocked" (a parent or an earlier ancestor failed) or "unfinished".
        error: reason in one line, for a blocked node that of the failed one; None if done.
        mistake: whether the user can mend it (data that are missing or corrupt).
        kind: set where the failure is a value in a comparison: what could not be reached, what is not installed, what
            no worker had the hardware for.
        cause: of the failure, else None.
    """

    state: str
    error: str | None = None
    mistake: bool = False
    kind: str | None = None
    cause: str | None = None


def build_statuses(
    plan: Plan, plan_state: PlanState, reason: str = "", is_mistake: bool = False
) -> dict[str, NodeStatus]:
    """Return each node's status by signature.

    Args:
        reason: why nodes are unfinished, if any are.
        is_mistake: whether the user can mend that.
    """
    statuses: dict[str, NodeStatus] = {}
    failed_or_blocked = plan_state.failed.keys() | plan_state.blocked
    for signature, node in plan.nodes.items():
        if signature in plan_state.failed:
            failure = plan_state.failed[signature]
            line = f"{node.name}: {failure['error']}"
            statuses[signature] = NodeStatus(
                "failed", line, failure["mistake"], failure.get("kind"), failure.get("cause")
            )
        elif signature in plan_state.blocked:
            blocking_parent = next(parent for parent in node.parents if parent in failed_or_blocked)
            statuses[signature] = replace(statuses[blocking_parent], state="blocked")
        elif signature in plan_state.done or plan_state.is_finished:
            # In a finished plan a node may be missing from the store: an ancestor of stored results is not needed.
            statuses[signature] = NodeStatus("done")
        else:
            statuses[signature] = NodeStatus("unfinished", f"{node.name}: {reason}", is_mistake)
    return statuses
