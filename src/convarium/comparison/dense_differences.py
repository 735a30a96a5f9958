"""Differences of rows to their dense networks, paired by seed, with what may be said of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from convarium.comparison import statistics
from convarium.comparison.noninferiority import bound_accuracy_loss
from convarium.comparison.result import HIGHER_IS_BETTER, IMAGE_METRICS, METRICS, NetworkResult
from convarium.comparison.statistics import Estimate, adjust_by_holm, estimate_paired_difference

Json = dict[str, Any]
DensePairs = Sequence[tuple[NetworkResult, NetworkResult]]
UNPAIRED_METRICS = ("dense_bytes", "xz_bytes")  # figures of the dense network itself
SIGNIFICANCE_LEVEL = 0.05
P_VALUE_KEYS = ("p", "paired_t_p", "p_noninferior")


def pair_with_dense(
    row: Sequence[NetworkResult], dense_results: Mapping[str, NetworkResult]
) -> list[tuple[NetworkResult, NetworkResult]]:
    """Pair results with their dense networks, given by signature; a dense network has no reference."""
    return [
        (result, dense_results[result.dense_signature])
        for result in row
        if not result.is_dense and result.dense_signature in dense_results
    ]


def compare_with_dense(pairs: Sequence[DensePairs], margin: float) -> list[Json]:
    """Return the differences of all rows, metric by metric, p-values adjusted by Holm over the rows."""
    documents: list[Json] = [{} for _ in pairs]
    for metric in [metric for metric in METRICS if metric not in UNPAIRED_METRICS]:
        found = {place: _estimate_difference(row, metric, margin) for place, row in enumerate(pairs) if row}
        entries = {place: entry for place, entry in found.items() if entry is not None}
        for key in P_VALUE_KEYS:
            _adjust_p_values([entry for entry in entries.values() if entry.get(key) is not None], key)
        for place, entry in entries.items():
            documents[place][metric] = _add_verdict(entry, metric, len(entries))
    return documents


def get_metric_values(results: Sequence[NetworkResult], metric: str) -> list[float]:
    """Return a metric of each result that has it."""
    found = [result.metrics.get(metric) for result in results]
    return [float(value) for value in found if value is not None]


def estimate_metric_over_seeds(values: Sequence[float], metric: str) -> Estimate:
    """Estimate a metric from one value a seed; for figures of images it speaks of these very images.

    Seeds that agree on such a figure would give an interval of no width, though other images would give another value:
    nothing is said then.
    """
    estimate = statistics.estimate_mean_over_seeds(values)
    return Estimate(estimate.mean) if metric in IMAGE_METRICS and estimate.low == estimate.high else estimate


def _adjust_p_values(entries: Sequence[Json], key: str) -> None:
    for entry, p in zip(entries, adjust_by_holm([entry[key] for entry in entries]), strict=True):
        entry[key] = p


def _estimate_difference(pairs: DensePairs, metric: str, margin: float) -> Json | None:
    kept = [(a, b) for a, b in pairs if a.metrics.get(metric) is not None and b.metrics.get(metric) is not None]
    if not kept:
        return None
    differences = [
        a - b for a, b in zip(*(get_metric_values(side, metric) for side in zip(*kept, strict=True)), strict=True)
    ]
    seeds = estimate_metric_over_seeds(differences, metric)
    by_image = metric == "accuracy" and len({result.image_count for pair in kept for result in pair}) == 1
    estimate = estimate_paired_difference(_build_difference_table(kept)) if by_image else seeds
    return {
        "difference": float(np.mean(differences)),
        "low": estimate.low,
        "high": estimate.high,
        "p": estimate.p_value if len(kept) > 1 else None,
        "seeds": len(kept),
        **({**_paired_t_to_json(seeds), **_noninferiority_to_json(kept, margin)} if by_image else {}),
    }


def _build_difference_table(pairs: DensePairs) -> Any:
    return np.stack([a.correctness_by_image() - b.correctness_by_image() for a, b in pairs])


def _paired_t_to_json(estimate: Estimate) -> Json:
    return {"paired_t_low": estimate.low, "paired_t_high": estimate.high, "paired_t_p": estimate.p_value}


def _noninferiority_to_json(pairs: DensePairs, margin: float) -> Json:
    found = bound_accuracy_loss(_build_difference_table(pairs), margin)
    return {"loss_upper": found.upper, "margin": margin, "p_noninferior": found.p_value if len(pairs) > 1 else None}


def _add_verdict(entry: Json, metric: str, row_count: int) -> Json:
    """Add the verdict, which never says other than the interval beside it.

    One seed never shows anything of a method: another seed may do otherwise. An interval is of one row; where it
    excludes zero and the p-value, adjusted for all rows, does not, it is their number that leaves nothing shown. And no
    loss is refuted that lies in the interval.
    """
    low, high, p = entry["low"], entry["high"], entry["p"]
    refuted = entry.get("p_noninferior") is not None and entry["p_noninferior"] < SIGNIFICANCE_LEVEL
    equivalent = refuted and low > -entry["margin"]
    if entry["seeds"] == 1:
        verdict = "no test with 1 seed"
    elif p is not None and p < SIGNIFICANCE_LEVEL:
        verdict = "better" if (entry["difference"] > 0) == (metric in HIGHER_IS_BETTER) else "worse"
    elif equivalent:
        verdict = f"no worse than {100 * entry['margin']:g} pp"
    elif p is not None and not low <= 0 <= high:
        verdict = f"not shown among {row_count} rows"
    else:
        verdict = f"not shown with {entry['seeds']} seeds"
    return entry | ({"equivalent": equivalent} if "margin" in entry else {}) | {"verdict": verdict}
