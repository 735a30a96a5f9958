"""Checks: what a row claims, held against a comparison; the last verdict of each is kept in the store."""

from collections.abc import Mapping
from typing import Any

from convarium.comparison import select
from convarium.config.words import suggestion
from convarium.errors import UserError
from convarium.store import disk
from convarium.store.store import Store

Json = dict[str, Any]


def verdict(document: Mapping[str, Any], check: Mapping[str, Any], row: str) -> Json:
    """Hold the one row of a comparison that the check names against its conditions.

    Args:
        document: as `comparison.rows.compare` makes it.
        check: a `config.schema.Check`.

    Returns:
        `figure` (mean of the metric), `holds`, `missed` (the conditions that are not met) and `signatures`.

    Raises:
        UserError: no row, or more than one, has the check's chain, or its figures are missing; an unknown metric.
    """
    found = [one for one in document["rows"] if [step["method"] for step in one["compression"]] == check["chain"]]
    if len(found) != 1 or not found[0]["signatures"]:
        chain = " → ".join(check["chain"])
        raise UserError(f"the check of {row} needs one measured row of {chain}; its sweep has {len(found)}")
    (own,) = found
    if check["metric"] not in own["metrics"]:
        raise UserError(
            f"the check of {row}: no metric '{check['metric']}'{suggestion(check['metric'], own['metrics'])}"
        )
    missed = [one for one in check["holds"] if not select.where({**document, "rows": found}, [one])["rows"]]
    lost = -100 * (own["versus_dense"].get("accuracy") or {}).get("difference", float("nan"))
    if check["most_lost"] is not None and not lost <= check["most_lost"]:
        missed.append(f"at most {check['most_lost']:g} points lost (lost {lost:.2f})")
    figure = own["metrics"][check["metric"]]["mean"]
    return {"figure": figure, "holds": not missed, "missed": missed, "signatures": own["signatures"]}


def keep(store: Store, row: str, found: Mapping[str, Any]) -> None:
    """Keep a row's verdict; it replaces the last one."""
    folder = store.root / "checks"
    folder.mkdir(parents=True, exist_ok=True)
    disk.write_json(folder / f"{row}.json", dict(found))


def kept(store: Store, row: str) -> Json | None:
    """Return a row's last verdict."""
    found: Json | None = disk.read_json(store.root / "checks" / f"{row}.json")
    return found
