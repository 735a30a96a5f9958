"""The rows of the catalogue as JSON: a row's fields, its status, its claims, and the result of its check."""

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
    """Return a row as JSON: the fields of `CatalogueRow`, `status`, and `ours`, the result of its check.

    `ours` is None without a check and where it has not been run. A result in the store is preferred to the one that
    ships with the project; `ours.from` says which it is. `claims` starts with the claim that the check is about. An
    architecture also has `licence`, `agreements` (every printed count compared with ours) and `verdict`, the same in
    words.

    Args:
        check: a `config.schema.ClaimConfig` as a dict; None where the row has none.
        store: None looks at the results that ship with the project only.
    """
    claims = list(row.claims)
    check_result = None
    if check:
        claims.insert(0, build_check_claim(check))
        check_result = _find_check_result(row.id, check, store)
    document = {
        **asdict(row),
        "claims": [asdict(claim) for claim in claims],
        "status": _format_status(row, check_result),
        "check": check is not None,
        "ours": check_result,
    }
    if row.kind == "architectures":
        document["licence"] = row.licence
        document["agreements"] = [_build_agreement(count) for count in agreement.compare_printed_counts(row)]
        document["verdict"] = agreement.describe_agreement(row)
    return document


def _build_agreement(count: agreement.Agreement) -> Json:
    return {
        "what": count.quantity,
        "of": count.printed_by,
        "printed": count.printed,
        "off": count.relative_difference,
        "agrees": count.agrees,
    }


def _find_check_result(row_id: str, check: Mapping[str, Any], store: "Store | None") -> Json | None:
    check_result, origin = None, "store"
    if store is not None:
        check_result = check_results.find_stored_check_result(store, row_id, check)
    if not check_result:
        check_result, origin = check_results.find_shipped_check_result(row_id, check), "project"
    if not check_result:
        return None
    fields = {key: value for key, value in check_result.items() if key != "check"}
    return {**fields, "from": origin}


def _format_status(row: "CatalogueRow", check_result: Json | None) -> str:
    if check_result is not None:
        return "check holds" if check_result["holds"] else "check fails"
    if row.left_out:
        return "left out"
    return "built" if row.run_text else "not built"
