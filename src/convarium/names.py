"""Open sets are found by name, without a registry."""

from importlib import import_module
from typing import Any

from convarium.errors import UserError


def find(room: str, name: str) -> Any:
    """Return the noun `name` of `convarium.<room>`; with a dot or colon it is outside ("package.module:attribute").

    Ours are found by convention: module `convarium.<room>.<name>` holds an attribute `<name>`.

    Raises:
        UserError: there is no such module or attribute.
    """
    is_outside = "." in name or ":" in name
    module, _, attribute = name.partition(":") if is_outside else (f"convarium.{room}.{name}", "", name)
    if module.startswith(".") or not module or not attribute:
        raise UserError(f"{room} has no '{name}': write a name of ours, or package.module:attribute")
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise UserError(f"{room} has no '{name}'") from None
    if not hasattr(found, attribute):
        raise UserError(f"'{name}': module {module} has no attribute '{attribute}'")
    return getattr(found, attribute)
