"""A budget is an order to one step of the chain, or a mistake said in one line."""

from typing import Any

import pytest

from convarium.config.budget import NO_BUDGET, assign_budget
from convarium.errors import UserError

PRUNE: dict[str, Any] = {
    "method": "pruning/a", "sparsity": 0.9,
    "_check_": {"sparsity": "0..1"}, "_budget_knobs_": {"sparsity": ["bytes", "sparsity"]},
}  # fmt: skip
SHARE: dict[str, Any] = {
    "method": "quantization/b", "bits": 5, "_check_": {"bits": "1..4"}, "_budget_knobs_": {"bits": ["bytes"]},
}  # fmt: skip
CODE: dict[str, Any] = {"method": "coding/c"}


def laid(budget: dict[str, Any], *yamls: dict[str, Any], **knobs: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    steps = [{key: value for key, value in yaml.items() if key[0] != "_"} for yaml in yamls]
    steps[0] |= knobs
    return steps, assign_budget(steps, {yaml["method"]: yaml for yaml in yamls}, {**NO_BUDGET, **budget})


def test_a_knob_of_any_value_is_solved_before_one_of_few() -> None:
    steps, budget = laid({"bytes": 8000}, PRUNE, SHARE, CODE)
    assert budget == {**NO_BUDGET, "bytes": 8000}
    assert steps[0]["budget"] == {
        "quantity": "bytes",
        "value": 8000,
        "knob": "sparsity",
        "candidates": [0.0, 1.0],
        "close": 0.002,
    }
    assert not any("budget" in step for step in steps[1:])


def test_where_there_is_no_other_every_whole_value_is_a_candidate() -> None:
    (step,), _ = laid({"bytes": 8000}, SHARE)
    assert step["budget"]["candidates"] == [1, 2, 3, 4]


def test_a_budget_that_is_a_knob_just_sets_it() -> None:
    (step,), _ = laid({"sparsity": 0.75}, PRUNE)
    assert step == {"method": "pruning/a", "sparsity": 0.75}


def test_the_dense_network_has_no_budget() -> None:
    assert assign_budget([], {}, {**NO_BUDGET, "bytes": 8000}) == NO_BUDGET


@pytest.mark.parametrize(
    ("budget", "knobs", "said"),
    [
        ({"bytes": 8000, "macs": 0.5}, {}, "budget: bytes and macs at once"),
        ({"latency": 0.5}, {}, "budget.latency: pruning/a has no knob that could meet it"),
        ({"bytes": 8000}, {"sparsity": 0.8}, "budget.bytes decides compression.a.sparsity; leave one of them out"),
    ],
)
def test_a_mistake_is_one_line(budget: dict[str, Any], knobs: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        laid(budget, PRUNE, **knobs)
