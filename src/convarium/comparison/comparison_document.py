"""The document a comparison is: rows of means, intervals and paired differences to the dense network."""

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
from convarium.comparison.result import METRICS, NetworkResult, RefusedPoint
from convarium.comparison.statistics import estimate_accuracy

Json = dict[str, Any]
DEFAULT_LOSS_MARGIN = 0.002


@dataclass
class Row:
    """Everything equal but the seed: what was measured, and what can't be made."""

    config: Mapping[str, Any]
    results: list[NetworkResult] = field(default_factory=list)
    refused: list[RefusedPoint] = field(default_factory=list)

    @property
    def status(self) -> str | None:
        """Why (some) seeds have no figures; None where all have."""
        reasons: dict[str, list[int]] = {}
        for one in self.refused:
            reasons.setdefault(one.reason, []).append(one.seed)
        if not self.results and len(reasons) == 1:
            return next(iter(reasons))
        return "; ".join(f"seed {', '.join(map(str, sorted(seeds)))}: {why}" for why, seeds in reasons.items()) or None


def compare_results(
    results: Sequence[NetworkResult],
    missing_count: int,
    dense_results: Sequence[NetworkResult] = (),
    refused: Sequence[RefusedPoint] = (),
    margin: float = DEFAULT_LOSS_MARGIN,
) -> Json:
    """Return the comparison as JSON: one row for everything equal but the seed, in the order of `results`.

    A row's metrics have mean, low and high over its seeds (95 %; the test accuracy over seeds and test images); low
    and high are None where nothing can be said. Under `versus_dense` stand differences to its dense network, paired by
    seed, with p-values adjusted by Holm over the rows of this comparison; it is empty where no dense network is among
    `results` or `dense_results`. For accuracy `loss_upper` is the upper bound (one-sided, 95 %) of what is lost, and
    `equivalent` says that a loss of `margin` (a share, as all accuracies) is refuted. `status` says why a row has no
    figures, `audit` holds codes, explained in the document's `audit`. `coverage` is the share of the dense network's
    weights that methods can work on, `uncovered` those of the rest by type of layer.

    Args:
        missing_count: how many points are not measured yet.
        dense_results: measured dense networks that get no row.
        refused: points that can't be made; a row of such ones stands before those of its method.
    """
    rows = _group_rows(results, refused)
    made = [row.results for row in rows if row.results]
    dense = {one.signature: one for one in (*dense_results, *results) if one.is_dense}
    pairs = [pair_with_dense(row, dense) for row in made]
    found = zip(
        compare_with_dense(pairs, margin), audit.audit_rows(made, pairs), _mark_pareto_fronts(made), strict=True
    )
    told = iter([{"versus_dense": v, "audit": a, "pareto": p} for v, a, p in found])
    configs = [row.config for row in rows]
    named = zip(rows, labels.format_distinct_labels(configs), labels.select_differing_values(configs), strict=True)
    nothing: Json = {"versus_dense": {}, "audit": [], "pareto": []}
    shown = [_row_to_json(row, label, differs, next(told) if row.results else nothing) for row, label, differs in named]
    return {
        "reference": "none",
        "missing": missing_count,
        "margin": margin,
        "audit": audit.select_explanations(shown),
        "rows": shown,
    }


def _group_rows(results: Sequence[NetworkResult], refused: Sequence[RefusedPoint]) -> list[Row]:
    rows: dict[str, Row] = {}
    for result in results:
        row = rows.setdefault(result.row_key, Row(result.config))
        if all(result.seed != other.seed for other in row.results):
            row.results.append(result)
    for one in refused:
        rows.setdefault(one.row_key, Row(one.config)).refused.append(one)
    ordered = [row for row in rows.values() if row.results]
    for row in reversed([row for row in rows.values() if not row.results]):
        family = [
            place for place, other in enumerate(ordered) if _get_method_family_key(other) == _get_method_family_key(row)
        ]
        ordered.insert(family[0] if family else len(ordered), row)
    for row in ordered:
        row.results.sort(key=lambda result: result.seed)
    return ordered


def _get_method_family_key(row: Row) -> tuple[Any, ...]:
    config = row.config
    return config["architecture"], config["dataset"]["name"], [step["method"] for step in config["compression"]]


def _row_to_json(row: Row, label: str, differing_values: Json, comparisons: Json) -> Json:
    return {
        "label": label,
        "status": row.status,
        "architecture": labels.get_architecture_option(row.config),
        "dataset": row.config["dataset"]["name"],
        "compression": [_select_visible_keys(step) for step in row.config["compression"]],
        "differs": differing_values,
        "seeds": [one.seed for one in row.results or row.refused],
        "training_steps": training_length.count_planned_steps(row.config),
        "metrics": {metric: _summarize_metric(row.results, metric) for metric in METRICS},
        "timings": timings.average_row_timings([one.timings for one in row.results]),
        "coverage": row.results[0].coverage if row.results else None,
        "uncovered": dict(row.results[0].uncovered_shares) if row.results else {},
        **comparisons,
        "signatures": [result.signature for result in row.results],
        "dense": [result.dense_signature for result in row.results],
    }


def _average_metric(row: Sequence[NetworkResult], metric: str) -> float | None:
    found = get_metric_values(row, metric)
    return float(np.mean(found)) if found else None


def _summarize_metric(row: Sequence[NetworkResult], metric: str) -> Json:
    found = get_metric_values(row, metric)
    if not found:
        return {"mean": None, "low": None, "high": None}
    if metric == "accuracy" and len({result.image_count for result in row}) == 1:
        estimate = estimate_accuracy(np.stack([result.correctness_by_image() for result in row]))
    else:
        estimate = estimate_metric_over_seeds(found, metric)
    top = 1.0 if metric.endswith("accuracy") else None
    low = None if estimate.low is None else max(estimate.low, 0.0)
    high = estimate.high if estimate.high is None or top is None else min(estimate.high, top)
    return {"mean": float(np.mean(found)), "low": low, "high": high}


def _mark_pareto_fronts(rows: Sequence[Sequence[NetworkResult]]) -> list[list[str]]:
    """Mark Pareto fronts, each dataset by itself."""
    result: list[list[str]] = [[] for _ in rows]
    places: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(row[0].config["dataset"]["name"], []).append(place)
    for group in places.values():
        means = [{metric: _average_metric(rows[place], metric) for metric in METRICS} for place in group]
        for place, marks in zip(group, pareto.find_pareto_fronts(means), strict=True):
            result[place] = marks
    return result


def _select_visible_keys(step: Mapping[str, Any]) -> Json:
    return {key: value for key, value in step.items() if key not in ("name", "phases")}
