"""The store of a config, and what could not be read in it."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.store.store import Store

MAX_ERRORS_SHOWN = 5
FIRST_COMMAND = "a first result: convarium run compression=none,magnitude"


def print_unreadable(store: "Store") -> None:
    """Say on stderr what of a store could not be read and was left out."""
    from convarium.store.disk import format_error

    lines = [format_error(error) for error in store.unreadable.values()]
    for line in lines[:MAX_ERRORS_SHOWN]:
        print(f"convarium: {line}; left out here", file=sys.stderr)
    if len(lines) > MAX_ERRORS_SHOWN:
        print(f"convarium: and {len(lines) - MAX_ERRORS_SHOWN} more that can't be read", file=sys.stderr)


def require_store(store: "Store", read_only: bool = False) -> "Store":
    """Return a store that is there; `read_only` also accepts a folder of results without a store.json.

    Raises:
        UserError: there is no folder, with the command that makes one, or a folder that is not a store.
    """
    if not store.root.exists():
        raise UserError(f"{store.root} is not a store: nothing is there yet; {FIRST_COMMAND}")
    return store.require(read_only)


def print_empty(store: "Store") -> None:
    """Say on stderr that a store holds nothing, and the command that makes a first result."""
    print(f"convarium: the store {store.root} holds no results yet; {FIRST_COMMAND}", file=sys.stderr)


def open_store(runtime: Mapping[str, Any]) -> "Store":
    """Return the store of a config's runtime group."""
    from convarium.store.store import Store

    return Store(Path(runtime["store"]))
