"""Controls: what every compression is compared with at the same budgets, apart from the dense network.

Without these a table says nothing (Blalock et al. 2020, "What is the State of Neural Network Pruning?", section 6).
"""

from collections.abc import Sequence

from convarium.config.override import Override

DATA_FREE_CONTROLS = (
    Override("compression=none,coding/xz,control/nncodec")  # of the dense network, without data: no knob to solve
)
EQUAL_BUDGET_CONTROLS = Override("compression=pruning/random,pruning/magnitude,control/small_dense")


def build_control_grids(axes: Sequence[Override]) -> list[tuple[Override, ...]]:
    """Return the grids of controls for a grid: with its other overrides, and under its budgets where it has some."""
    others = [override for override in axes if override.key != "compression"]
    without_budget = [override for override in others if override.group != "budget"]
    grids = [(*without_budget, DATA_FREE_CONTROLS)]
    if len(without_budget) < len(others):
        grids.append((*others, EQUAL_BUDGET_CONTROLS))
    return grids
