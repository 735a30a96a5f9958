"""In words: how much of a network methods work on, where that is not (nearly) all of it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

FULL_COVERAGE_SHARE = 0.99
MIN_NAMED_SHARE = 0.001


def describe_coverage(coverage: float, uncovered: Mapping[str, float]) -> str | None:
    """Return a sentence; None where nearly all of a network's weights are in layers that methods work on.

    Args:
        coverage: the share of its weights in such layers, in 0..1 (`compression.coverage`).
        uncovered: the shares of the rest, by type of layer.
    """
    if coverage >= FULL_COVERAGE_SHARE:
        return None
    kinds = ", ".join(
        f"{kind} {_format_percent(share)}" for kind, share in uncovered.items() if share >= MIN_NAMED_SHARE
    )
    return f"methods work on {_format_percent(coverage)} of its weights; the rest stays as it is ({kinds})"


def format_coverage_notes(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each network of a comparison of which methods leave more than a trifle as it is."""
    known = [row for row in rows if row["coverage"] is not None]
    told = ((row["architecture"], describe_coverage(row["coverage"], row["uncovered"])) for row in known)
    yield from dict.fromkeys(f"{network}: {said}." for network, said in told if said)


def _format_percent(share: float) -> str:
    return f"{100 * share:.1f} %"
