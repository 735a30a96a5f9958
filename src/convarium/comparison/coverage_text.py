"""Describe how much of a network methods work on, where that is not (nearly) all of it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

FULL_COVERAGE_SHARE = 0.99
MIN_NAMED_SHARE = 0.001


def describe_coverage(coverage: float, uncovered: Mapping[str, float]) -> str | None:
    """Return a sentence; None where nearly all of a network's weights are in layers that methods work on.

    Args:
        coverage: the share of the network's weights in such layers, in 0..1 (`compression.coverage`).
        uncovered: the shares of the other weights, by type of layer.
    """
    if coverage >= FULL_COVERAGE_SHARE:
        return None
    named_shares = {kind: share for kind, share in uncovered.items() if share >= MIN_NAMED_SHARE}
    kinds = ", ".join(f"{kind} {_format_percent(share)}" for kind, share in named_shares.items())
    return f"methods work on {_format_percent(coverage)} of its weights; the rest stays as it is ({kinds})"


def format_coverage_notes(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield one line for each network of a comparison that methods work on only in part."""
    notes: dict[str, None] = {}  # a dict is a set in order: rows of one network have one note
    for row in rows:
        if row["coverage"] is None:
            continue
        description = describe_coverage(row["coverage"], row["uncovered"])
        if description:
            notes[f"{row['architecture']}: {description}."] = None
    yield from notes


def _format_percent(share: float) -> str:
    return f"{100 * share:.1f} %"
