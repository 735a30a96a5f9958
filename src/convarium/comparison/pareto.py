"""Pareto fronts: the rows that no other row beats in both cost and accuracy."""

from collections.abc import Mapping, Sequence

COST_METRICS = ("file_bytes", "macs", "latency_ms")
QUALITY_METRIC = "accuracy"
SELECTION_METRICS = {  # test images are for reporting, never for choosing
    "accuracy": "validation_accuracy",
    "balanced_accuracy": "validation_balanced_accuracy",
}

MetricMeans = Mapping[str, float | None]


def find_pareto_fronts(rows: Sequence[MetricMeans]) -> list[list[str]]:
    """Return, for each row of means, the names of the fronts it is on, such as "file_bytes/accuracy".

    Low cost and high accuracy are better; the accuracy that decides is the one on the validation images. A row without
    one of the two figures is on no front of them.
    """
    fronts_by_row: list[list[str]] = [[] for _ in rows]
    quality_metric = SELECTION_METRICS[QUALITY_METRIC]
    for cost_metric in COST_METRICS:
        points = [(row.get(cost_metric), row.get(quality_metric)) for row in rows]
        for index in _find_front(points):
            fronts_by_row[index].append(f"{cost_metric}/{QUALITY_METRIC}")
    return fronts_by_row


def _find_front(points: Sequence[tuple[float | None, float | None]]) -> list[int]:
    """Return the indices of the points (cost, quality) that no other point dominates."""
    measured: list[tuple[int, float, float]] = []
    for index, (cost, quality) in enumerate(points):
        if cost is not None and quality is not None:
            measured.append((index, cost, quality))
    front = []
    for index, cost, quality in measured:
        is_dominated = any(
            other_cost <= cost and other_quality >= quality and (other_cost < cost or other_quality > quality)
            for _, other_cost, other_quality in measured
        )
        if not is_dominated:
            front.append(index)
    return front
