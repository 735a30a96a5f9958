"""The catalogue as one JSON document: every row, its status, its claims, and what came of its check."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from convarium.catalogue import agreement, verdicts
from convarium.catalogue.claims import of_check

if TYPE_CHECKING:
    from convarium.catalogue.rows import Row
    from convarium.store.store import Store

Json = dict[str, Any]


def told(row: "Row", check: Mapping[str, Any] | None, store: "Store | None") -> Json:
    """Return a row as JSON: the fields of `Row`, `status`, and `ours`, the verdict on it (None: no check, or not run).

    A verdict in the store is taken before the one that the project comes with; `ours.from` says which it is.
    `claims` starts with the claim that the check is about. Of an architecture also `licence`, `agreements` (every
    printed count against ours) and `verdict`, the same in words.

    Args:
        check: a `config.schema.Check`; None where the row has none.
        store: None: only what the project comes with.
    """
    ours = _ours(row.id, check, store) if check else None
    claims = [of_check(check), *row.claims] if check else row.claims
    return {
        **asdict(row),
        "claims": [asdict(claim) for claim in claims],
        "status": _status(row, ours),
        "check": check is not None,
        "ours": ours,
        **(_architecture(row) if row.kind == "architectures" else {}),
    }


def _architecture(row: "Row") -> Json:
    held = [asdict(one) for one in agreement.agreements(row)]
    return {"licence": row.licence, "agreements": held, "verdict": agreement.verdict(row)}


def _ours(row: str, check: Mapping[str, Any], store: "Store | None") -> Json | None:
    if store is not None and (found := verdicts.kept(store, row, check)):
        return {**_without_check(found), "from": "store"}
    found = verdicts.shipped(row, check)
    return {**_without_check(found), "from": "project"} if found else None


def _without_check(found: Json) -> Json:
    return {key: value for key, value in found.items() if key != "check"}


def _status(row: "Row", ours: Json | None) -> str:
    if ours is not None:
        return "check holds" if ours["holds"] else "check fails"
    if row.left_out:
        return "left out"
    return "built" if row.runs_by else "not built"
