"""The store of a config, and what could not be read in it."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convarium.store.store import Store

MAX_ERRORS_SHOWN = 5


def print_unreadable(store: "Store") -> None:
    """Say on stderr what of a store could not be read and was left out."""
    from convarium.store.disk import format_error

    lines = [format_error(error) for error in store.unreadable.values()]
    for line in lines[:MAX_ERRORS_SHOWN]:
        print(f"convarium: {line}; left out here", file=sys.stderr)
    if len(lines) > MAX_ERRORS_SHOWN:
        print(f"convarium: and {len(lines) - MAX_ERRORS_SHOWN} more that can't be read", file=sys.stderr)


def open_store(runtime: Mapping[str, Any]) -> "Store":
    """Return the store of a config's runtime group."""
    from convarium.store.store import Store

    return Store(Path(runtime["store"]))
