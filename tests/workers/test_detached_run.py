"""How many jobs a run without a controller begins with."""

import pytest

from convarium.planning.plan import Node, Plan
from convarium.workers.detached_run import measure_greatest_width
from convarium.workers.ready_nodes import PlanState
from store.fake_run import make_fake_node, make_fake_plan

FIRST = make_fake_node("first")
SECOND = [make_fake_node(f"second-{index}", [FIRST]) for index in range(3)]
THIRD = [make_fake_node(f"third-{node.name}", [node]) for node in SECOND[:2]]
PLAN = make_fake_plan(FIRST, *SECOND, *THIRD)


@pytest.mark.parametrize(
    ("done", "failed", "blocked", "width"),
    [
        ([], [], [], 3),
        ([FIRST], [], [], 3),
        ([FIRST, SECOND[2]], [], [], 2),
        ([FIRST, *SECOND], [], [], 2),
        ([FIRST, *SECOND, THIRD[0]], [], [], 1),
        ([FIRST], [SECOND[0]], [THIRD[0]], 2),
        ([FIRST, *SECOND, *THIRD], [], [], 0),
    ],
)
def test_as_many_as_can_be_ready_at_the_same_time(
    done: list[Node], failed: list[Node], blocked: list[Node], width: int
) -> None:
    state = PlanState(_sign(done), {signature: {} for signature in _sign(failed)}, _sign(blocked), ())
    assert measure_greatest_width(PLAN, state) == width


def test_only_what_the_goals_need_is_counted() -> None:
    plan = Plan(PLAN.nodes, (), goals=(THIRD[0].signature,))
    assert measure_greatest_width(plan, PlanState(frozenset(), {}, frozenset(), ())) == 1


def _sign(nodes: list[Node]) -> frozenset[str]:
    return frozenset(node.signature for node in nodes)
