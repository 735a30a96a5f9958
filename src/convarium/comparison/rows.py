"""The document a comparison is: rows of means, intervals and paired differences to the dense network."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from convarium.comparison import labels, pareto
from convarium.comparison.result import HIGHER_IS_BETTER, METRICS, Result
from convarium.comparison.statistics import Estimate, crossed, holm, over_seeds

Row = list[Result]
Json = dict[str, Any]
UNPAIRED = ("dense_bytes", "xz_bytes")  # figures of the dense network itself
SIGNIFICANT = 0.05
FEW_SEEDS = 3


def compare(results: Sequence[Result], missing: int) -> Json:
    """Return the comparison as JSON: one row for everything equal but the seed, in the order of `results`.

    A row's metrics have mean, low and high over its seeds (95 %; the test accuracy over seeds and test images); low
    and high are None where nothing can be said. Under `versus_dense` stand differences to the network without
    compression, paired by seed, with p-values adjusted by Holm over the rows of this comparison; it is empty where
    the dense network is not among the results. `audit` holds codes: few_seeds, no_dense, unpaired_seeds, void_latency,
    other_images.
    """
    rows = list(_grouped(results).values())
    dense = {row[0].row: row for row in rows if not row[0].config["compression"]}
    pairs = [_pairs(row, dense.get(row[0].dense_row, [])) for row in rows]
    versus = _versus(pairs)
    configs = [row[0].config for row in rows]
    fronts = _fronts(rows)
    return {
        "reference": "none",
        "missing": missing,
        "rows": [
            {
                "label": label,
                "architecture": labels.architecture(row[0].config),
                "dataset": row[0].config["dataset"]["name"],
                "compression": [_visible(step) for step in row[0].config["compression"]],
                "differs": differs,
                "seeds": [result.seed for result in row],
                "metrics": {metric: _summary(row, metric) for metric in METRICS},
                "versus_dense": versus[place],
                "audit": _audit(row, pairs[place]),
                "pareto": fronts[place],
                "signatures": [result.signature for result in row],
            }
            for place, (row, label, differs) in enumerate(
                zip(rows, labels.labels(configs), labels.differing(configs), strict=True)
            )
        ],
    }


def _grouped(results: Sequence[Result]) -> dict[str, Row]:
    rows: dict[str, dict[int, Result]] = {}
    for result in results:
        rows.setdefault(result.row, {}).setdefault(result.seed, result)
    return {key: [row[seed] for seed in sorted(row)] for key, row in rows.items()}


def _pairs(row: Row, dense: Row) -> list[tuple[Result, Result]]:
    """Pair a compressed row's results with the dense ones of the same seed; a dense row has no reference."""
    if not row[0].config["compression"]:
        return []
    by_seed = {result.seed: result for result in dense}
    return [(result, by_seed[result.seed]) for result in row if result.seed in by_seed]


def _values(results: Sequence[Result], metric: str) -> list[float]:
    found = [result.metrics.get(metric) for result in results]
    return [float(value) for value in found if value is not None]


def _mean(row: Row, metric: str) -> float | None:
    values = _values(row, metric)
    return float(np.mean(values)) if values else None


def _summary(row: Row, metric: str) -> Json:
    values = _values(row, metric)
    if not values:
        return {"mean": None, "low": None, "high": None}
    if metric == "accuracy" and len({result.images for result in row}) == 1:
        estimate = crossed(np.stack([result.bits() for result in row]))
    else:
        estimate = over_seeds(values)
    top = 1.0 if metric.endswith("accuracy") else None
    low = None if estimate.low is None else max(estimate.low, 0.0)
    high = estimate.high if estimate.high is None or top is None else min(estimate.high, top)
    return {"mean": float(np.mean(values)), "low": low, "high": high}


def _versus(pairs: Sequence[Sequence[tuple[Result, Result]]]) -> list[Json]:
    """Return the differences of all rows, Holm's adjustment over the rows, metric by metric."""
    documents: list[Json] = [{} for _ in pairs]
    for metric in [metric for metric in METRICS if metric not in UNPAIRED]:
        found = {place: _difference(row, metric) for place, row in enumerate(pairs) if row}
        entries = {place: entry for place, entry in found.items() if entry is not None}
        for key in ("p", "paired_t_p"):
            told = [place for place, entry in entries.items() if entry.get(key) is not None]
            for place, p in zip(told, holm([entries[place][key] for place in told]), strict=True):
                entries[place][key] = p
        for place, entry in entries.items():
            documents[place][metric] = entry | {"verdict": _verdict(entry, metric)}
    return documents


def _difference(pairs: Sequence[tuple[Result, Result]], metric: str) -> Json | None:
    kept = [(a, b) for a, b in pairs if a.metrics.get(metric) is not None and b.metrics.get(metric) is not None]
    if not kept:
        return None
    differences = [a - b for a, b in zip(*(_values(side, metric) for side in zip(*kept, strict=True)), strict=True)]
    seeds = over_seeds(differences)
    by_image = metric == "accuracy" and len({result.images for pair in kept for result in pair}) == 1
    estimate = crossed(np.stack([a.bits() - b.bits() for a, b in kept])) if by_image else seeds
    return {
        "difference": float(np.mean(differences)),
        "low": estimate.low,
        "high": estimate.high,
        "p": estimate.p if len(kept) > 1 else None,
        "seeds": len(kept),
        **(_paired_t(seeds) if by_image else {}),
    }


def _paired_t(estimate: Estimate) -> Json:
    return {"paired_t_low": estimate.low, "paired_t_high": estimate.high, "paired_t_p": estimate.p}


def _verdict(entry: Json, metric: str) -> str:
    """One seed never shows anything of a method: another seed may do otherwise."""
    if entry["p"] is None or entry["p"] >= SIGNIFICANT:
        return f"not shown with {entry['seeds']} seed{'s' if entry['seeds'] > 1 else ''}"
    return "better" if (entry["difference"] > 0) == (metric in HIGHER_IS_BETTER) else "worse"


def _fronts(rows: Sequence[Row]) -> list[list[str]]:
    """Mark Pareto fronts, each dataset by itself."""
    result: list[list[str]] = [[] for _ in rows]
    places: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(row[0].config["dataset"]["name"], []).append(place)
    for group in places.values():
        means = [{metric: _mean(rows[place], metric) for metric in METRICS} for place in group]
        for place, marks in zip(group, pareto.marks(means), strict=True):
            result[place] = marks
    return result


def _visible(step: Mapping[str, Any]) -> Json:
    return {key: value for key, value in step.items() if key not in ("name", "phases")}


def _audit(row: Row, pairs: Sequence[tuple[Result, Result]]) -> list[str]:
    compressed = bool(row[0].config["compression"])
    codes = {
        "few_seeds": len(row) < FEW_SEEDS,
        "no_dense": compressed and not pairs,
        "unpaired_seeds": compressed and 0 < len(pairs) < len(row),
        "void_latency": any(result.void for result in row),
        "other_images": len({result.images for result in [*row, *(dense for _, dense in pairs)]}) > 1,
    }
    return [code for code, found in codes.items() if found]
