"""Verdicts of checks: the last one made here, kept in the store, and those that the project comes with.

A verdict holds the check that it was made by: where the check says something else by now, it is a verdict no more.
"""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from convarium.store import disk
from convarium.store.store import Store

Json = dict[str, Any]
SHIPPED = "verdicts.json"


def keep(store: Store, row: str, found: Mapping[str, Any]) -> None:
    """Keep a row's verdict in the store; it replaces the last one."""
    folder = store.root / "checks"
    with disk.mistakes(store.root):
        disk.make_folder(folder)
        disk.write_json(folder / f"{row}.json", dict(found))


def kept(store: Store, row: str, check: Mapping[str, Any]) -> Json | None:
    """Return the last verdict on a row by this check in the store, if it can be read."""
    found = None
    with store.leaving_out(f"checks/{row}"):
        found = disk.read_object(store.root / "checks" / f"{row}.json", {})
    return _current(found, check)


def shipped(row: str, check: Mapping[str, Any]) -> Json | None:
    """Return the verdict on a row by this check that the project comes with (made by `benchmarks/checks.py`)."""
    import json

    text = files(__package__).joinpath(SHIPPED).read_text(encoding="utf-8")
    return _current(json.loads(text).get(row), check)


def _current(found: Json | None, check: Mapping[str, Any]) -> Json | None:
    return found if found and found.get("check") == check else None
