"""Pareto fronts: the rows that no other row beats in both of two figures."""

from collections.abc import Mapping, Sequence

COST_METRICS = ("file_bytes", "macs", "latency_ms")
QUALITY_METRIC = "accuracy"
SELECTION_METRICS = {  # test is for reporting, never for choosing
    "accuracy": "validation_accuracy",
    "balanced_accuracy": "validation_balanced_accuracy",
}

MetricMeans = Mapping[str, float | None]


def find_pareto_fronts(rows: Sequence[MetricMeans]) -> list[list[str]]:
    """Return, for each row of means, the fronts it is on, such as "file_bytes/accuracy".

    Low cost and high accuracy are wanted; the accuracy that decides is the one on the validation images.
    """
    result: list[list[str]] = [[] for _ in rows]
    for cost in COST_METRICS:
        for place in _find_front([(row.get(cost), row.get(SELECTION_METRICS[QUALITY_METRIC])) for row in rows]):
            result[place].append(f"{cost}/{QUALITY_METRIC}")
    return result


def _find_front(points: Sequence[tuple[float | None, float | None]]) -> list[int]:
    known = [(place, c, q) for place, (c, q) in enumerate(points) if c is not None and q is not None]
    return [
        place
        for place, cost, quality in known
        if not any(c <= cost and q >= quality and (c < cost or q > quality) for _, c, q in known)
    ]
