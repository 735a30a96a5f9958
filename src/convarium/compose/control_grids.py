"""Controls: what every compression is held against, beside the dense network, at the same budgets.

Without these a table says nothing (Blalock et al. 2020, "What is the State of Neural Network Pruning?", section 6).
"""

from collections.abc import Sequence

DATA_FREE_CONTROLS = (
    "compression=none,coding/xz,control/nncodec"  # of the dense network, without data: no knob to solve
)
EQUAL_BUDGET_CONTROLS = "compression=pruning/random,pruning/magnitude,control/small_dense"


def build_control_grids(axes: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the grids of controls for a grid: everything else as it says, its budgets where it has some."""
    others = [text for text in axes if _get_key(text) != "compression"]
    without = [text for text in others if not _get_key(text).startswith("budget.")]
    found = [(*without, DATA_FREE_CONTROLS)]
    if len(without) < len(others):
        found.append((*others, EQUAL_BUDGET_CONTROLS))
    return found


def _get_key(text: str) -> str:
    return text.partition("=")[0].lstrip("+~")
