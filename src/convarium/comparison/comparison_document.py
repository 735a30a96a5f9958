"""The comparison as a JSON document: rows of means, intervals and paired differences to the dense network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convarium.comparison import audit, labels, pareto, timings, training_length
from convarium.comparison.dense_differences import (
    compare_with_dense,
    estimate_metric_over_seeds,
    get_metric_values,
    pair_with_dense,
)
from convarium.comparison.metric_names import METRICS
from convarium.comparison.result import NetworkResult, RefusedPoint
from convarium.comparison.statistics import compute_mean, estimate_accuracy

Json = dict[str, Any]
DEFAULT_LOSS_MARGIN = 0.002  # a share: 0.2 pp


@dataclass
class Row:
    """All points that are equal but for the seed: the measured results, and the points that can't be made."""

    config: Mapping[str, Any]
    results: list[NetworkResult] = field(default_factory=list)
    refused: list[RefusedPoint] = field(default_factory=list)

    @property
    def status(self) -> str | None:
        """Why all or some seeds have no figures or no times; None where every seed has them."""
        seeds_by_reason: dict[str, list[int]] = {}
        reasons = [(point.reason, point.seed) for point in self.refused]
        reasons += [(reason, result.seed) for result in self.results for reason in result.refusals]
        for reason, seed in reasons:
            seeds_by_reason.setdefault(reason, []).append(seed)
        seed_count = len(self.results) + len(self.refused)
        if all(len(seeds) == seed_count for seeds in seeds_by_reason.values()):
            return "; ".join(seeds_by_reason) or None
        parts = []
        for reason, seeds in seeds_by_reason.items():
            seed_list = ", ".join(map(str, sorted(seeds)))
            parts.append(f"seed {seed_list}: {reason}")
        return "; ".join(parts)


def compare_results(
    results: Sequence[NetworkResult],
    missing_count: int,
    dense_results: Sequence[NetworkResult] = (),
    refused: Sequence[RefusedPoint] = (),
    margin: float = DEFAULT_LOSS_MARGIN,
) -> Json:
    """Return the comparison as JSON: one row for everything equal but the seed, in the order of `results`.

    A row's metrics have mean, low and high over its seeds (95 %; the test accuracy over seeds and test images); low
    and high are None where no interval can be given. `versus_dense` holds the differences to its dense network, paired
    by seed, with p-values adjusted by Holm over the rows of this comparison; it is empty where no dense network is
    among `results` or `dense_results`. For accuracy `loss_upper` is the upper bound (one-sided, 95 %) of the loss, and
    `equivalent` says that a loss of `margin` is refuted. `status` says why a row has no figures or times. `audit`
    holds codes that the document's `audit` explains. `coverage` is the share of the dense network's weights that
    methods can work on, `uncovered` the shares of the other weights by type of layer.

    Args:
        missing_count: how many points are not measured yet.
        dense_results: measured dense networks that get no row of their own.
        refused: points that can't be made; a row of only such points comes before the other rows of its method.
        margin: the largest loss of accuracy still called "no worse", as a share.
    """
    rows = _group_rows(results, refused)
    measured_rows = [row.results for row in rows if row.results]
    dense_by_signature = {result.signature: result for result in (*dense_results, *results) if result.is_dense}
    pairs = [pair_with_dense(row, dense_by_signature) for row in measured_rows]
    comparisons = zip(
        compare_with_dense(pairs, margin),
        audit.audit_rows(measured_rows, pairs),
        _find_pareto_fronts(measured_rows),
        strict=True,
    )
    configs = [row.config for row in rows]
    row_labels = labels.format_labels_by_table(configs)
    row_values = labels.select_differing_values(configs)
    row_documents = []
    for row, label, differing_values in zip(rows, row_labels, row_values, strict=True):
        differences, audit_codes, fronts = next(comparisons) if row.results else ({}, [], [])
        comparison = {"versus_dense": differences, "audit": audit_codes, "pareto": fronts}
        row_documents.append(_row_to_json(row, label, differing_values, comparison))
    return {
        "reference": "none",
        "missing": missing_count,
        "margin": margin,
        "audit": audit.select_explanations(row_documents),
        "rows": row_documents,
    }


def _group_rows(results: Sequence[NetworkResult], refused: Sequence[RefusedPoint]) -> list[Row]:
    rows: dict[str, Row] = {}
    for result in results:
        row = rows.setdefault(result.row_key, Row(result.config))
        # Two points may differ only in KEYS_OUTSIDE_ROW, such as where they ran; their seed counts once.
        if all(result.seed != other.seed for other in row.results):
            row.results.append(result)
    for point in refused:
        rows.setdefault(point.row_key, Row(point.config)).refused.append(point)
    ordered_rows = _order_rows(list(rows.values()))
    for row in ordered_rows:
        row.results.sort(key=lambda result: result.seed)
    return ordered_rows


def _order_rows(rows: Sequence[Row]) -> list[Row]:
    """Return the rows, each one without results before the first of its method."""
    ordered_rows = [row for row in rows if row.results]
    rows_without_results = [row for row in rows if not row.results]
    # Each is inserted before the one inserted last, so the reverse keeps the order that they were asked for.
    for row in reversed(rows_without_results):
        method_key = _get_method_key(row)
        same_method = [index for index, other in enumerate(ordered_rows) if _get_method_key(other) == method_key]
        position = same_method[0] if same_method else len(ordered_rows)
        ordered_rows.insert(position, row)
    return ordered_rows


def _get_method_key(row: Row) -> tuple[Any, ...]:
    methods = [step["method"] for step in row.config["compression"]]
    return row.config["architecture"], row.config["dataset"]["name"], methods


def _row_to_json(row: Row, label: str, differing_values: Json, comparison: Json) -> Json:
    # All seeds of a row have one architecture, so the first result has its coverage.
    first_result = row.results[0] if row.results else None
    return {
        "label": label,
        "status": row.status,
        "architecture": labels.get_architecture_option(row.config),
        "dataset": row.config["dataset"]["name"],
        "compression": [_select_visible_keys(step) for step in row.config["compression"]],
        "differs": differing_values,
        "seeds": [point.seed for point in row.results or row.refused],
        "training_steps": training_length.count_planned_steps(row.config),
        "metrics": {metric: _summarize_metric(row.results, metric) for metric in METRICS},
        "timings": timings.average_row_timings([result.timings for result in row.results]),
        "coverage": first_result.coverage if first_result else None,
        "uncovered": dict(first_result.uncovered_shares) if first_result else {},
        **comparison,
        "signatures": [result.signature for result in row.results],
        "dense": [result.dense_signature for result in row.results],
    }


def _average_metric(row: Sequence[NetworkResult], metric: str) -> float | None:
    values = get_metric_values(row, metric)
    return compute_mean(values) if values else None


def _summarize_metric(row: Sequence[NetworkResult], metric: str) -> Json:
    values = get_metric_values(row, metric)
    if not values:
        return {"mean": None, "low": None, "high": None}
    image_counts = {result.image_count for result in row}
    if metric == "accuracy" and len(image_counts) == 1:
        estimate = estimate_accuracy(np.stack([result.unpack_correctness() for result in row]))
    else:
        estimate = estimate_metric_over_seeds(values, metric)
    low = estimate.low
    high = estimate.high
    # Student's interval over a few seeds reaches beyond what a metric can be: no metric is negative.
    if low is not None:
        low = max(low, 0.0)
    if high is not None and metric.endswith("accuracy"):
        high = min(high, 1.0)
    return {"mean": compute_mean(values), "low": low, "high": high}


def _find_pareto_fronts(rows: Sequence[Sequence[NetworkResult]]) -> list[list[str]]:
    """Return the Pareto fronts that each row is on, among the rows of its dataset."""
    indices_by_dataset: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        indices_by_dataset.setdefault(row[0].config["dataset"]["name"], []).append(index)
    fronts_by_row: list[list[str]] = [[] for _ in rows]
    for indices in indices_by_dataset.values():
        means = [{metric: _average_metric(rows[index], metric) for metric in METRICS} for index in indices]
        for index, fronts in zip(indices, pareto.find_pareto_fronts(means), strict=True):
            fronts_by_row[index] = fronts
    return fronts_by_row


def _select_visible_keys(step: Mapping[str, Any]) -> Json:
    return {key: value for key, value in step.items() if key not in ("name", "phases")}
