"""The store a command line means."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.store.store import Store


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
