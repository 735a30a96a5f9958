"""Differences of rows to their dense networks, paired by seed, with a verdict for each."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convarium.comparison import statistics
from convarium.comparison.metric_names import HIGHER_IS_BETTER, IMAGE_METRICS, METRICS
from convarium.comparison.noninferiority import bound_accuracy_loss
from convarium.comparison.result import NetworkResult
from convarium.comparison.statistics import Estimate, adjust_by_holm, compute_mean, estimate_paired_difference

Json = dict[str, Any]
DensePairs = Sequence[tuple[NetworkResult, NetworkResult]]
UNPAIRED_METRICS = ("dense_bytes", "xz_bytes")  # figures of the dense network itself
SIGNIFICANCE_LEVEL = 0.05
P_VALUE_KEYS = ("p", "paired_t_p", "p_noninferior")


def pair_with_dense(
    row: Sequence[NetworkResult], dense_results: Mapping[str, NetworkResult]
) -> list[tuple[NetworkResult, NetworkResult]]:
    """Pair the results of a row with their dense networks; a dense network itself is paired with none.

    Args:
        dense_results: the measured dense networks by signature.
    """
    return [
        (result, dense_results[result.dense_signature])
        for result in row
        if not result.is_dense and result.dense_signature in dense_results
    ]


def compare_with_dense(pairs: Sequence[DensePairs], margin: float) -> list[Json]:
    """Return the differences of all rows, by metric, with p-values adjusted by Holm over the rows.

    Args:
        pairs: for each row its results with their dense networks.
        margin: the largest loss of accuracy still called "no worse", as a share.
    """
    documents: list[Json] = [{} for _ in pairs]
    for metric in METRICS:
        if metric in UNPAIRED_METRICS:
            continue
        entries: dict[int, Json] = {}
        for index, row_pairs in enumerate(pairs):
            entry = _estimate_difference(row_pairs, metric, margin)
            if entry is not None:
                entries[index] = entry
        for key in P_VALUE_KEYS:
            _adjust_p_values(entries.values(), key)
        for index, entry in entries.items():
            documents[index][metric] = _add_verdict(entry, metric, len(entries))
    return documents


def get_metric_values(results: Sequence[NetworkResult], metric: str) -> list[float]:
    """Return a metric of each result that has it."""
    values = [result.metrics.get(metric) for result in results]
    return [float(value) for value in values if value is not None]


def estimate_metric_over_seeds(values: Sequence[float], metric: str) -> Estimate:
    """Estimate a metric from one value per seed; a metric of images is estimated for these very images.

    Seeds that agree on such a metric would give an interval of zero width, though other images would give another
    value: then there is a mean, but no interval.
    """
    estimate = statistics.estimate_mean_over_seeds(values)
    if metric in IMAGE_METRICS and estimate.low == estimate.high:
        return Estimate(estimate.mean)
    return estimate


def _adjust_p_values(entries: Iterable[Json], key: str) -> None:
    """Replace the p-values under `key` in place; entries without one do not count."""
    tested_entries = [entry for entry in entries if entry.get(key) is not None]
    adjusted_values = adjust_by_holm([entry[key] for entry in tested_entries])
    for entry, p_value in zip(tested_entries, adjusted_values, strict=True):
        entry[key] = p_value


def _estimate_difference(pairs: DensePairs, metric: str, margin: float) -> Json | None:
    """Return the difference of a metric between a row and its dense networks; None where no pair has it."""
    measured_pairs = [
        (result, dense)
        for result, dense in pairs
        if result.metrics.get(metric) is not None and dense.metrics.get(metric) is not None
    ]
    if not measured_pairs:
        return None
    values = get_metric_values([result for result, _ in measured_pairs], metric)
    dense_values = get_metric_values([dense for _, dense in measured_pairs], metric)
    differences = [value - dense_value for value, dense_value in zip(values, dense_values, strict=True)]
    estimate_over_seeds = estimate_metric_over_seeds(differences, metric)
    estimate = estimate_over_seeds
    accuracy_entries: Json = {}
    # A table of seeds x images needs the same test images throughout.
    image_counts = {result.image_count for pair in measured_pairs for result in pair}
    if metric == "accuracy" and len(image_counts) == 1:
        table = np.stack([result.unpack_correctness() - dense.unpack_correctness() for result, dense in measured_pairs])
        estimate = estimate_paired_difference(table)
        accuracy_entries = _paired_t_to_json(estimate_over_seeds) | _noninferiority_to_json(table, margin)
    return {
        "difference": compute_mean(differences),
        "low": estimate.low,
        "high": estimate.high,
        "p": estimate.p_value if len(measured_pairs) > 1 else None,
        "seeds": len(measured_pairs),
        **accuracy_entries,
    }


def _paired_t_to_json(estimate: Estimate) -> Json:
    return {"paired_t_low": estimate.low, "paired_t_high": estimate.high, "paired_t_p": estimate.p_value}


def _noninferiority_to_json(table: NDArray[np.floating], margin: float) -> Json:
    loss = bound_accuracy_loss(table, margin)
    p_value = loss.p_value if len(table) > 1 else None
    return {"loss_upper": loss.upper, "margin": margin, "p_noninferior": p_value}


def _add_verdict(entry: Json, metric: str, row_count: int) -> Json:
    """Return the entry with its verdict, which never contradicts the interval printed with it.

    One seed shows nothing about a method: another seed may give another result. An interval is of one row; where it
    excludes zero and the p-value, adjusted for all rows, is not significant, the verdict gives the number of rows as
    the reason. A loss that lies inside the interval is never called refuted.
    """
    low, high, p_value = entry["low"], entry["high"], entry["p"]
    is_refuted = entry.get("p_noninferior") is not None and entry["p_noninferior"] < SIGNIFICANCE_LEVEL
    is_equivalent = is_refuted and low > -entry["margin"]
    if entry["seeds"] == 1:
        verdict = "no test with 1 seed"
    elif p_value is not None and p_value < SIGNIFICANCE_LEVEL:
        is_better = (entry["difference"] > 0) == (metric in HIGHER_IS_BETTER)
        verdict = "better" if is_better else "worse"
    elif is_equivalent:
        verdict = f"no worse than {100 * entry['margin']:g} pp"
    elif p_value is not None and not low <= 0 <= high:
        verdict = f"not shown among {row_count} rows"
    else:
        verdict = f"not shown with {entry['seeds']} seeds"
    equivalence = {"equivalent": is_equivalent} if "margin" in entry else {}
    return entry | equivalence | {"verdict": verdict}
