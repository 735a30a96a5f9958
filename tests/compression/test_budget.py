"""A knob is solved on the real cost, and what comes out of the chain keeps to the budget."""

import math
from pathlib import Path

import pytest

from convarium.compression import budget
from convarium.errors import BudgetNotReachable
from stages.stage_harness import TINY_TRAINING, StageHarness, plan_command_nodes


@pytest.mark.parametrize("limit", [10.0, 55.5, 99.0])
def test_the_highest_cost_within_the_limit_is_found(limit: float) -> None:
    order = {"quantity": "bytes", "value": limit, "knob": "sparsity", "candidates": [0.0, 1.0], "close": 0.002}
    found = budget.solve_knob(order, lambda sparsity: 100 * (1 - sparsity), limit)
    assert limit * 0.997 < 100 * (1 - found) <= limit


@pytest.mark.parametrize("close", [0.03, 0.002])
def test_a_bent_cost_takes_few_trials(close: float) -> None:
    tried: list[float] = []

    def cost(sparsity: float) -> float:
        tried.append(sparsity)
        density = 1 - sparsity
        return 1000 + 400_000 * (0.5 * density - density * math.log2(density + 1e-12) / 8)

    order = {"quantity": "bytes", "value": 4000, "knob": "sparsity", "candidates": [0.0, 1.0], "close": close}
    found = budget.solve_knob(order, cost, 4000)
    assert 4000 * (1 - close) < cost(found) <= 4000
    assert len(tried) <= 12


def test_of_few_values_the_dearest_within_the_limit_is_taken() -> None:
    order = {"quantity": "bytes", "value": 35, "knob": "bits", "candidates": [1, 2, 3, 4]}
    assert budget.solve_knob(order, lambda bits: 10 * bits, 35) == 3
    assert budget.solve_knob(order, lambda bits: 10 * bits, 1000) == 4


def test_what_can_t_be_reached_tells_what_can() -> None:
    order = {"quantity": "bytes", "value": 5, "knob": "bits", "candidates": [1, 2, 3, 4]}
    with pytest.raises(BudgetNotReachable, match=r"not reachable \(least 1,000, most 4,000\)"):
        budget.solve_knob(order, lambda bits: 1000 * bits, 5)


@pytest.mark.parametrize("chain", ["magnitude", "[magnitude,kmeans,huffman]", "global_gradual"])
def test_a_chain_s_file_keeps_to_its_budget(chain: str, tmp_path: Path) -> None:
    bench, size = StageHarness(tmp_path), 0
    for node in plan_command_nodes(*TINY_TRAINING, f"compression={chain}", "budget.bytes=1000")[:-1]:
        size = len(bench.run_stage(node))
    assert 940 < size <= 1000


def test_only_the_step_that_is_solved_depends_on_the_budget() -> None:
    chain = "compression=[magnitude,kmeans]"
    small, large = (plan_command_nodes(*TINY_TRAINING, chain, f"budget.bytes={size}") for size in (2000, 3000))
    free = plan_command_nodes(*TINY_TRAINING, chain)
    assert small[0].signature == large[0].signature == free[0].signature
    assert len({plan[1].signature for plan in (small, large, free)}) == 3
    assert small[1].stage_config["following"] == [small[2].stage_config["step"]]
