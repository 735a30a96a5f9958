"""In words: how much of a network methods work on, where that is not (nearly) all of it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

NEARLY_ALL = 0.99
LEAST_NAMED = 0.001


def describe(coverage: float, uncovered: Mapping[str, float]) -> str | None:
    """Return a sentence; None where nearly all of a network's weights are in layers that methods work on.

    Args:
        coverage: the share of its weights in such layers, in 0..1 (`compression.coverage`).
        uncovered: the shares of the rest, by type of layer.
    """
    if coverage >= NEARLY_ALL:
        return None
    kinds = ", ".join(f"{kind} {_percent(share)}" for kind, share in uncovered.items() if share >= LEAST_NAMED)
    return f"methods work on {_percent(coverage)} of its weights; the rest stays as it is ({kinds})"


def notes(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each network of a comparison of which methods leave more than a trifle as it is."""
    known = [row for row in rows if row["coverage"] is not None]
    told = ((row["architecture"], describe(row["coverage"], row["uncovered"])) for row in known)
    yield from dict.fromkeys(f"{network}: {said}." for network, said in told if said)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
