"""Controls: what every compression is held against, beside the dense network, at the same budgets.

Without these a table says nothing (Blalock et al. 2020, "What is the State of Neural Network Pruning?", section 6).
"""

from collections.abc import Sequence

FREE = "compression=none,coding/xz,control/nncodec"  # of the dense network, without data: no knob to solve
AT_EQUAL_BUDGET = "compression=pruning/random,pruning/magnitude,control/small_dense"


def grids(axes: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the grids of controls for a grid: everything else as it says, its budgets where it has some."""
    others = [text for text in axes if _key(text) != "compression"]
    without = [text for text in others if not _key(text).startswith("budget.")]
    found = [(*without, FREE)]
    if len(without) < len(others):
        found.append((*others, AT_EQUAL_BUDGET))
    return found


def _key(text: str) -> str:
    return text.partition("=")[0].lstrip("+~")
