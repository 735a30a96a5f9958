"""Checks: what a row claims, held against a comparison."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from convarium.comparison import row_selection
from convarium.config.messages import suggest_nearest
from convarium.errors import UserError

Json = dict[str, Any]
ACCURACY_DELTA = "accuracy_delta_pp"


def evaluate_check(document: Mapping[str, Any], check: Mapping[str, Any], row_id: str) -> Json:
    """Hold the one row of a comparison that the check names against its conditions.

    Args:
        document: as `comparison.rows.compare_results` makes it.
        check: a `config.schema.ClaimConfig`.

    Returns:
        `figure` (mean of the metric), `holds`, `missed` (the conditions that are not met), `signatures`, and the
        `check` itself.

    Raises:
        UserError: no row, or more than one, has the check's chain, or its figures are missing; an unknown metric; a
            chain to be better than, which the comparison does not have.
    """
    found = _select_chain_rows(document, check["chain"])
    if len(found) != 1 or not found[0]["signatures"]:
        chain = _format_chain(check["chain"])
        raise UserError(f"the check of {row_id} needs one measured row of {chain}; its sweep has {len(found)}")
    (own,) = found
    figure = _get_figure(own, check, row_id)
    missed = [
        one for one in check["holds"] if not row_selection.select_rows({**document, "rows": found}, [one])["rows"]
    ]
    missed += [*_find_accuracy_violations(own, check), *_find_unbeaten_rows(document, own, check, row_id)]
    return {
        "figure": figure,
        "accuracy_delta_pp": _accuracy_delta_pp(own, "difference"),
        "holds": not missed,
        "missed": missed,
        "signatures": own["signatures"],
        "check": dict(check),
    }


def _select_chain_rows(document: Mapping[str, Any], chain: Sequence[str]) -> list[Json]:
    return [one for one in document["rows"] if [step["method"] for step in one["compression"]] == list(chain)]


def _get_figure(checked_row: Json, check: Mapping[str, Any], row_id: str) -> float:
    metric = check["metric"]
    if metric == ACCURACY_DELTA:
        return _accuracy_delta_pp(checked_row, "difference") or 0.0
    if metric not in checked_row["metrics"]:
        raise UserError(
            f"the check of {row_id}: no metric"
            f" '{metric}'{suggest_nearest(metric, [*checked_row['metrics'], ACCURACY_DELTA])}"
        )
    mean: float = checked_row["metrics"][metric]["mean"]
    return mean / (mean - checked_row["versus_dense"][metric]["difference"]) if check["of_dense"] else mean


def _accuracy_delta_pp(own: Json, key: str) -> float | None:
    found = (own["versus_dense"].get("accuracy") or {}).get(key)
    return None if found is None else 100 * found


def _find_accuracy_violations(checked_row: Json, check: Mapping[str, Any]) -> Iterator[str]:
    most, least = check["most_lost"], check["least_shown"]
    difference, low = _accuracy_delta_pp(checked_row, "difference"), _accuracy_delta_pp(checked_row, "low")
    if most is not None and (difference is None or -difference > most):
        asked, sign, word = (most, -1, "lost") if most >= 0 else (-most, 1, "gained")
        told = "not known" if difference is None else f"{word} {sign * difference:.4g}"
        yield f"{'at most' if most >= 0 else 'at least'} {asked:g} pp {word} ({told})"
    if least is not None and (low is None or low <= least):
        told = "not known" if low is None else f"from {low:+.4g}"
        yield f"the interval of the difference above {least:+g} ({told})"


def _find_unbeaten_rows(
    document: Mapping[str, Any], checked_row: Json, check: Mapping[str, Any], row_id: str
) -> Iterator[str]:
    """The rows that are no worse than the check's own; every row of a chain counts, whatever its settings."""
    accuracy = checked_row["metrics"]["accuracy"]["mean"]
    for chain in check["better_than"] or []:
        others = [one for one in _select_chain_rows(document, chain) if one["metrics"]["accuracy"]["mean"] is not None]
        if not others:
            raise UserError(
                f"the check of {row_id} is to be better than {_format_chain(chain)}; its sweep has no such row"
            )
        for one in others:
            if accuracy <= (other := one["metrics"]["accuracy"]["mean"]):
                yield f"test accuracy above that of {one['label']} ({100 * accuracy:.2f} and {100 * other:.2f} %)"


def _format_chain(chain: Sequence[str]) -> str:
    return " → ".join(chain) or "the dense network"
