"""Differences of rows to their dense networks, paired by seed, with what may be said of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from convarium.comparison import statistics
from convarium.comparison.equivalence import loss
from convarium.comparison.result import HIGHER_IS_BETTER, METRICS, ON_IMAGES, Result
from convarium.comparison.statistics import Estimate, crossed, holm

Json = dict[str, Any]
Pairs = Sequence[tuple[Result, Result]]
UNPAIRED = ("dense_bytes", "xz_bytes")  # figures of the dense network itself
SIGNIFICANT = 0.05
P_VALUES = ("p", "paired_t_p", "p_noninferior")


def paired(row: Sequence[Result], dense: Mapping[str, Result]) -> list[tuple[Result, Result]]:
    """Pair results with their dense networks, given by signature; a dense network has no reference."""
    return [(result, dense[result.dense]) for result in row if not result.is_dense and result.dense in dense]


def versus(pairs: Sequence[Pairs], margin: float) -> list[Json]:
    """Return the differences of all rows, metric by metric, p-values adjusted by Holm over the rows."""
    documents: list[Json] = [{} for _ in pairs]
    for metric in [metric for metric in METRICS if metric not in UNPAIRED]:
        found = {place: _difference(row, metric, margin) for place, row in enumerate(pairs) if row}
        entries = {place: entry for place, entry in found.items() if entry is not None}
        for key in P_VALUES:
            _adjust([entry for entry in entries.values() if entry.get(key) is not None], key)
        for place, entry in entries.items():
            documents[place][metric] = _judged(entry, metric, len(entries))
    return documents


def values(results: Sequence[Result], metric: str) -> list[float]:
    """Return a metric of each result that has it."""
    found = [result.metrics.get(metric) for result in results]
    return [float(value) for value in found if value is not None]


def over_seeds(values: Sequence[float], metric: str) -> Estimate:
    """Estimate a metric from one value a seed; for figures of images it speaks of these very images.

    Seeds that agree on such a figure would give an interval of no width, though other images would give another value:
    nothing is said then.
    """
    estimate = statistics.over_seeds(values)
    return Estimate(estimate.mean) if metric in ON_IMAGES and estimate.low == estimate.high else estimate


def _adjust(entries: Sequence[Json], key: str) -> None:
    for entry, p in zip(entries, holm([entry[key] for entry in entries]), strict=True):
        entry[key] = p


def _difference(pairs: Pairs, metric: str, margin: float) -> Json | None:
    kept = [(a, b) for a, b in pairs if a.metrics.get(metric) is not None and b.metrics.get(metric) is not None]
    if not kept:
        return None
    differences = [a - b for a, b in zip(*(values(side, metric) for side in zip(*kept, strict=True)), strict=True)]
    seeds = over_seeds(differences, metric)
    by_image = metric == "accuracy" and len({result.images for pair in kept for result in pair}) == 1
    estimate = crossed(_table(kept)) if by_image else seeds
    return {
        "difference": float(np.mean(differences)),
        "low": estimate.low,
        "high": estimate.high,
        "p": estimate.p if len(kept) > 1 else None,
        "seeds": len(kept),
        **({**_paired_t(seeds), **_noninferior(kept, margin)} if by_image else {}),
    }


def _table(pairs: Pairs) -> Any:
    return np.stack([a.bits() - b.bits() for a, b in pairs])


def _paired_t(estimate: Estimate) -> Json:
    return {"paired_t_low": estimate.low, "paired_t_high": estimate.high, "paired_t_p": estimate.p}


def _noninferior(pairs: Pairs, margin: float) -> Json:
    found = loss(_table(pairs), margin)
    return {"loss_upper": found.upper, "margin": margin, "p_noninferior": found.p if len(pairs) > 1 else None}


def _judged(entry: Json, metric: str, rows: int) -> Json:
    """Add the verdict, which never says other than the interval beside it.

    One seed never shows anything of a method: another seed may do otherwise. An interval is of one row; where it
    excludes zero and the p-value, adjusted for all rows, does not, it is their number that leaves nothing shown. And no
    loss is refuted that lies in the interval.
    """
    low, high, p = entry["low"], entry["high"], entry["p"]
    refuted = entry.get("p_noninferior") is not None and entry["p_noninferior"] < SIGNIFICANT
    equivalent = refuted and low > -entry["margin"]
    if entry["seeds"] == 1:
        verdict = "no test with 1 seed"
    elif p is not None and p < SIGNIFICANT:
        verdict = "better" if (entry["difference"] > 0) == (metric in HIGHER_IS_BETTER) else "worse"
    elif equivalent:
        verdict = f"no worse than {100 * entry['margin']:g} pp"
    elif p is not None and not low <= 0 <= high:
        verdict = f"not shown among {rows} rows"
    else:
        verdict = f"not shown with {entry['seeds']} seeds"
    return entry | ({"equivalent": equivalent} if "margin" in entry else {}) | {"verdict": verdict}
