"""Deciders: functions that turn a network and knobs into a decision, one a file, in the folder of its family."""

from importlib.util import find_spec
from pkgutil import iter_modules

from convarium.compression.deciders.interface import Decider
from convarium.errors import UserError
from convarium.lookup import find_by_name, is_outside_name

SUBPACKAGE = "compression.deciders"


def find_decider(name: str) -> Decider:
    """Return the decider of this name from the family that has it, or an outside one by its import path.

    Raises:
        UserError: there is no such decider, or two families have one of this name.
    """
    decider: Decider
    if is_outside_name(name):
        decider = find_by_name(SUBPACKAGE, name)
        return decider
    families = _list_families_with(name)
    if not families:
        raise UserError(f"{SUBPACKAGE} has no '{name}'")
    if len(families) > 1:
        raise UserError(f"{SUBPACKAGE} has '{name}' twice, in {' and '.join(families)}; rename one")
    decider = find_by_name(f"{SUBPACKAGE}.{families[0]}", name)
    return decider


def _list_families_with(name: str) -> list[str]:
    """The families (subpackages of this one) that have a module of this name."""
    if not name.isidentifier():
        return []
    families = [module.name for module in iter_modules(__path__) if module.ispkg]
    return [family for family in families if find_spec(f"{__name__}.{family}.{name}") is not None]
