"""Deciders: see a network, and say which representation each site gets. One function a file, in its family's folder."""

from importlib.util import find_spec
from pkgutil import iter_modules

from convarium.compression.deciders.interface import Decider
from convarium.errors import UserError
from convarium.lookup import find_by_name, is_outside_name

SUBPACKAGE = "compression.deciders"


def find_decider(name: str) -> Decider:
    """Return the decider of this name: of ours, in whichever family it lies; an outside one by its import path.

    Raises:
        UserError: there is no such decider, or two families have one of this name.
    """
    families = [] if is_outside_name(name) else _list_families_with(name)
    if len(families) > 1:
        raise UserError(f"{SUBPACKAGE} has '{name}' twice, in {' and '.join(families)}; rename one")
    if not families and not is_outside_name(name):
        raise UserError(f"{SUBPACKAGE} has no '{name}'")
    decider: Decider = find_by_name(".".join([SUBPACKAGE, *families]), name)
    return decider


def _list_families_with(name: str) -> list[str]:
    """The families, folders beside this file, that hold a module of this name."""
    families = [module.name for module in iter_modules(__path__) if module.ispkg and name.isidentifier()]
    return [family for family in families if find_spec(f"{__name__}.{family}.{name}") is not None]
