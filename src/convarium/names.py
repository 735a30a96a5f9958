"""Open sets are found by name, without a registry."""

from importlib import import_module
from typing import Any

from convarium.errors import UserError


def find(room: str, name: str) -> Any:
    """Return the noun called `name` in `convarium.<room>`; a dotted name ("package.module:attribute") is an outside one.

    Ours are found by convention: module `convarium.<room>.<name>` holds an attribute `<name>`.

    Raises:
        UserError: there is no such module or attribute.
    """
    module, _, attribute = name.partition(":") if "." in name else (f"convarium.{room}.{name}", "", name)
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise UserError(f"{room} has no '{name}'") from None
    except (AttributeError, ValueError):
        raise UserError(f"'{name}': module {module} has no attribute '{attribute}'") from None
