"""The store that a command line names, for commands that only look at what is stored."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from convarium.compose.points import compose_points
from convarium.compose.store_access import open_store
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.store.store import Store


def open_named_store(overrides: Sequence[str]) -> "Store":
    """Return the store that `runtime.store=…` names, else the default one.

    Raises:
        UserError: an override of anything but `runtime`, which would decide nothing.
    """
    for text in overrides:
        if not text.lstrip("+").startswith("runtime."):
            raise UserError(f"{text}: this command takes runtime.… only, such as runtime.store=FOLDER")
    return open_store(compose_points(overrides).runtime)
