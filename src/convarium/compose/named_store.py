"""The store that a command line names, for commands that take no points."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from convarium.compose.points import compose_points
from convarium.compose.store_access import open_store
from convarium.config.override import Override
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.store.store import Store


def open_named_store(overrides: Sequence[Override]) -> "Store":
    """Return the store that `runtime.store=…` names, else the default one.

    Raises:
        UserError: an override of anything but `runtime`, which would decide nothing.
    """
    for override in overrides:
        if override.group != "runtime":
            raise UserError(f"{override}: this command takes runtime.… only, such as runtime.store=FOLDER")
    return open_store(compose_points(overrides).runtime)
