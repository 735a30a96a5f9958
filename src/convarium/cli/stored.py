"""The store a command line means."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.store.store import Store

SHOWN = 5


def tell_unreadable(store: "Store") -> None:
    """Say on stderr what of a store could not be read and was left out."""
    from convarium.store.disk import told

    lines = [told(error) for error in store.unreadable.values()]
    for line in lines[:SHOWN]:
        print(f"convarium: {line}; left out here", file=sys.stderr)
    if len(lines) > SHOWN:
        print(f"convarium: and {len(lines) - SHOWN} more that can't be read", file=sys.stderr)


def store_of(runtime: Mapping[str, Any]) -> "Store":
    """Return the store of a config's runtime group."""
    from convarium.store.store import Store

    return Store(Path(runtime["store"]))


def store_named(overrides: Sequence[str]) -> "Store":
    """Return the store that `runtime.store=…` names, else the default one.

    Raises:
        UserError: an override of anything but `runtime`, which would decide nothing.
    """
    from convarium.cli.points import ask

    for text in overrides:
        if not text.lstrip("+").startswith("runtime."):
            raise UserError(f"{text}: this command takes runtime.… only, such as runtime.store=FOLDER")
    return store_of(ask(overrides).runtime)


def workers_of(runtime: Mapping[str, Any]) -> int:
    """Return how many workers a config's runtime group asks for; null is one a core."""
    from convarium.store.provenance import cores

    return int(runtime["workers"] or cores())
