"""Verdicts of checks: the last one made here, kept in the store, and those that the project comes with.

A verdict holds the check that it was made by: where the check says something else by now, it is a verdict no more.
"""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from convarium.store import disk
from convarium.store.store import Store

Json = dict[str, Any]
SHIPPED_RESULTS_FILE = "verdicts.json"


def write_check_result(store: Store, row_id: str, check_result: Mapping[str, Any]) -> None:
    """Keep a row's verdict in the store; it replaces the last one."""
    folder = store.root / "checks"
    with disk.translate_write_errors(store.root):
        disk.make_folder(folder)
        disk.write_json(folder / f"{row_id}.json", dict(check_result))


def find_stored_check_result(store: Store, row_id: str, check: Mapping[str, Any]) -> Json | None:
    """Return the last verdict on a row by this check in the store, if it can be read."""
    found = None
    with store.record_unreadable(f"checks/{row_id}"):
        found = disk.read_json_object(store.root / "checks" / f"{row_id}.json", {})
    return _select_current(found, check)


def find_shipped_check_result(row_id: str, check: Mapping[str, Any]) -> Json | None:
    """Return the verdict on a row by this check that the project comes with (made by `benchmarks/checks.py`)."""
    import json

    text = files(__package__).joinpath(SHIPPED_RESULTS_FILE).read_text(encoding="utf-8")
    return _select_current(json.loads(text).get(row_id), check)


def _select_current(found: Json | None, check: Mapping[str, Any]) -> Json | None:
    return found if found and found.get("check") == check else None
