"""Evaluation of a check: whether a comparison bears out what a row of the catalogue claims."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from convarium.comparison import row_selection
from convarium.config.messages import suggest_nearest
from convarium.errors import UserError

Json = dict[str, Any]
ACCURACY_DELTA = "accuracy_delta_pp"


def evaluate_check(document: Mapping[str, Any], check: Mapping[str, Any], row_id: str) -> Json:
    """Test the one row of a comparison that has the check's chain against the check's conditions.

    Args:
        document: a comparison, from `comparison.comparison_document.compare_results`.
        check: a `config.schema.ClaimConfig` as a dict.
        row_id: the catalogue row's, for messages.

    Returns:
        `figure` (mean of the metric, or its share of the dense network's), `accuracy_delta_pp` (None if not known),
        `holds`, `missed` (the conditions that are not met), `signatures`, and the `check` itself.

    Raises:
        UserError: no row or more than one has the check's chain, or it is not measured; the metric is unknown; the
            comparison has no row of a chain in `better_than`.
    """
    chain_rows = _select_chain_rows(document, check["chain"])
    if len(chain_rows) != 1 or not chain_rows[0]["signatures"]:
        chain = _format_chain(check["chain"])
        raise UserError(f"the check of {row_id} needs one measured row of {chain}; its sweep has {len(chain_rows)}")
    checked_row = chain_rows[0]
    figure = _get_figure(checked_row, check, row_id)
    missed = [
        *_find_unmet_conditions(document, checked_row, check),
        *_find_accuracy_violations(checked_row, check),
        *_find_unbeaten_rows(document, checked_row, check, row_id),
    ]
    return {
        "figure": figure,
        "accuracy_delta_pp": _get_accuracy_delta_pp(checked_row, "difference"),
        "holds": not missed,
        "missed": missed,
        "signatures": checked_row["signatures"],
        "check": dict(check),
    }


def _select_chain_rows(document: Mapping[str, Any], chain: Sequence[str]) -> list[Json]:
    chain_rows = []
    for row in document["rows"]:
        methods = [step["method"] for step in row["compression"]]
        if methods == list(chain):
            chain_rows.append(row)
    return chain_rows


def _get_figure(checked_row: Json, check: Mapping[str, Any], row_id: str) -> float:
    metric = check["metric"]
    if metric == ACCURACY_DELTA:
        return _get_accuracy_delta_pp(checked_row, "difference") or 0.0
    metrics = checked_row["metrics"]
    if metric not in metrics:
        suggestion = suggest_nearest(metric, [*metrics, ACCURACY_DELTA])
        raise UserError(f"the check of {row_id}: no metric '{metric}'{suggestion}")
    mean: float = metrics[metric]["mean"]
    if not check["of_dense"]:
        return mean
    dense_mean: float = mean - checked_row["versus_dense"][metric]["difference"]
    return mean / dense_mean


def _get_accuracy_delta_pp(row: Json, key: str) -> float | None:
    """Return Δ accuracy in pp (`key` "difference"), or an end of its interval ("low"); None where it is not known."""
    delta_by_key = row["versus_dense"].get("accuracy") or {}
    delta = delta_by_key.get(key)
    return None if delta is None else 100 * delta


def _find_unmet_conditions(document: Mapping[str, Any], checked_row: Json, check: Mapping[str, Any]) -> list[str]:
    only_checked_row = {**document, "rows": [checked_row]}
    unmet = []
    for condition in check["holds"]:
        if not row_selection.select_rows(only_checked_row, [condition])["rows"]:
            unmet.append(condition)
    return unmet


def _find_accuracy_violations(checked_row: Json, check: Mapping[str, Any]) -> Iterator[str]:
    """Yield the bounds on Δ accuracy that a row does not keep; a bound on what is not known is not kept."""
    most_lost, least_shown = check["most_lost"], check["least_shown"]
    delta = _get_accuracy_delta_pp(checked_row, "difference")
    low = _get_accuracy_delta_pp(checked_row, "low")
    if most_lost is not None and (delta is None or -delta > most_lost):
        yield _format_missed_delta(most_lost, delta)
    if least_shown is not None and (low is None or low <= least_shown):
        measured = "not known" if low is None else f"from {low:+.4g}"
        yield f"the interval of the difference above {least_shown:+g} ({measured})"


def _format_missed_delta(most_lost: float, delta: float | None) -> str:
    # To lose at most -2 pp is to gain at least 2 pp.
    if most_lost >= 0:
        bound, word = f"at most {most_lost:g} pp lost", "lost"
    else:
        bound, word = f"at least {-most_lost:g} pp gained", "gained"
    if delta is None:
        return f"{bound} (not known)"
    change = -delta if most_lost >= 0 else delta
    return f"{bound} ({word} {change:.4g})"


def _find_unbeaten_rows(
    document: Mapping[str, Any], checked_row: Json, check: Mapping[str, Any], row_id: str
) -> Iterator[str]:
    """Yield the rows of `better_than` that are no worse; every row of a chain counts, whatever its knobs."""
    accuracy = checked_row["metrics"]["accuracy"]["mean"]
    for chain in check["better_than"] or []:
        chain_rows = _select_chain_rows(document, chain)
        controls = [row for row in chain_rows if row["metrics"]["accuracy"]["mean"] is not None]
        if not controls:
            raise UserError(
                f"the check of {row_id} is to be better than {_format_chain(chain)}; its sweep has no such row"
            )
        for control in controls:
            control_accuracy = control["metrics"]["accuracy"]["mean"]
            if accuracy <= control_accuracy:
                figures = f"{100 * accuracy:.2f} and {100 * control_accuracy:.2f} %"
                yield f"test accuracy above that of {control['label']} ({figures})"


def _format_chain(chain: Sequence[str]) -> str:
    return " → ".join(chain) or "the dense network"
