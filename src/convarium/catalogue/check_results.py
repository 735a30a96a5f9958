"""Results of checks: the last one of each row in the store, and those that ship with the project.

A result holds the check that it is of; once the row's check has changed, the result counts no longer.
"""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from convarium.store import disk
from convarium.store.store import Store

Json = dict[str, Any]
SHIPPED_RESULTS_FILE = "verdicts.json"


def write_check_result(store: Store, row_id: str, check_result: Mapping[str, Any]) -> None:
    """Write the result of a row's check to the store, in place of the last one."""
    folder = store.root / "checks"
    with disk.translate_write_errors(store.root):
        disk.make_folder(folder)
        disk.write_json(folder / f"{row_id}.json", dict(check_result))


def find_stored_check_result(store: Store, row_id: str, check: Mapping[str, Any]) -> Json | None:
    """Return the result of this check in the store; None where there is none, or its file can't be read."""
    check_result = None
    with store.record_unreadable(f"checks/{row_id}"):
        check_result = disk.read_json_object(store.root / "checks" / f"{row_id}.json", {})
    return _select_current(check_result, check)


def find_shipped_check_result(row_id: str, check: Mapping[str, Any]) -> Json | None:
    """Return the result of this check that ships with the project (made by `benchmarks/checks.py`), else None."""
    text = files(__package__).joinpath(SHIPPED_RESULTS_FILE).read_text(encoding="utf-8")
    return _select_current(json.loads(text).get(row_id), check)


def _select_current(check_result: Json | None, check: Mapping[str, Any]) -> Json | None:
    if check_result and check_result.get("check") == check:
        return check_result
    return None
