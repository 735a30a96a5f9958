"""The catalogue as one JSON document: every row, its status, its claims, and what came of its check."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from convarium.catalogue import agreement, check_results
from convarium.catalogue.claims import build_check_claim

if TYPE_CHECKING:
    from convarium.catalogue.rows import CatalogueRow
    from convarium.store.store import Store

Json = dict[str, Any]


def build_catalogue_row(row: "CatalogueRow", check: Mapping[str, Any] | None, store: "Store | None") -> Json:
    """Return a row as JSON: the fields of `Row`, `status`, and `ours`, the verdict on it (None: no check, or not run).

    A verdict in the store is taken before the one that the project comes with; `ours.from` says which it is.
    `claims` starts with the claim that the check is about. Of an architecture also `licence`, `agreements` (every
    printed count against ours) and `verdict`, the same in words.

    Args:
        check: a `config.schema.ClaimConfig`; None where the row has none.
        store: None: only what the project comes with.
    """
    ours = _find_check_result(row.id, check, store) if check else None
    claims = [build_check_claim(check), *row.claims] if check else row.claims
    return {
        **asdict(row),
        "claims": [asdict(claim) for claim in claims],
        "status": _format_status(row, ours),
        "check": check is not None,
        "ours": ours,
        **(_build_architecture_keys(row) if row.kind == "architectures" else {}),
    }


def _build_architecture_keys(row: "CatalogueRow") -> Json:
    held = [asdict(one) for one in agreement.compare_printed_counts(row)]
    return {"licence": row.licence, "agreements": held, "verdict": agreement.describe_agreement(row)}


def _find_check_result(row_id: str, check: Mapping[str, Any], store: "Store | None") -> Json | None:
    if store is not None and (found := check_results.find_stored_check_result(store, row_id, check)):
        return {**_drop_check(found), "from": "store"}
    found = check_results.find_shipped_check_result(row_id, check)
    return {**_drop_check(found), "from": "project"} if found else None


def _drop_check(found: Json) -> Json:
    return {key: value for key, value in found.items() if key != "check"}


def _format_status(row: "CatalogueRow", check_result: Json | None) -> str:
    if check_result is not None:
        return "check holds" if check_result["holds"] else "check fails"
    if row.left_out:
        return "left out"
    return "built" if row.run_text else "not built"
