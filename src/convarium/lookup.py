"""Open sets are found by name, without a registry.

What a config names is its author's word. What a file names is a stranger's: it is imported only from packages that are
allowed while the file is read (`allow_packages`), and these are the packages that the config of the stage names
(`find_named_packages`).
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import Any

from convarium.errors import UserError

OUTSIDE_NAME = re.compile(r"([^\W\d]\w*)(\.[^\W\d]\w*)*:[^\W\d]\w*", re.ASCII)
MAX_NAME_CHARS = 200
RECIPE_KEY = "recipe"

_allowed_packages: ContextVar[frozenset[str]] = ContextVar("allowed", default=frozenset())


def find_by_name(subpackage: str, name: str) -> Any:
    """Return the noun `name` of `convarium.<room>`; with a dot or colon it is outside ("package.module:attribute").

    Ours are found by convention: module `convarium.<room>.<name>` holds an attribute `<name>`.

    Raises:
        UserError: there is no such module or attribute.
    """
    ours = (f"convarium.{subpackage}.{name}", "", name)
    module, _, attribute = name.partition(":") if is_outside_name(name) else ours
    if module.startswith(".") or not module or not attribute:
        raise UserError(f"{subpackage} has no '{name}': write a name of ours, or package.module:attribute")
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise UserError(f"{subpackage} has no '{name}'") from None
    if not hasattr(found, attribute):
        raise UserError(f"'{name}': module {module} has no attribute '{attribute}'")
    return getattr(found, attribute)


def is_outside_name(name: str) -> bool:
    """Whether `name` is an import path of an outside package, not the name of a noun of ours."""
    return "." in name or ":" in name


@contextmanager
def allow_packages(packages: Iterable[str]) -> Iterator[None]:
    """Let what is read meanwhile name nouns of these packages, besides those that are allowed already."""
    token = _allowed_packages.set(_allowed_packages.get() | frozenset(packages))
    try:
        yield
    finally:
        _allowed_packages.reset(token)


def list_allowed_packages() -> list[str]:
    """Return the packages that are allowed here."""
    return sorted(_allowed_packages.get())


def find_allowed(subpackage: str, name: str) -> Any:
    """Return the outside noun `name` ("package.module:attribute") of an allowed package.

    Raises:
        UserError: it is of another package, or is not there.
    """
    match = OUTSIDE_NAME.fullmatch(name) if len(name) <= MAX_NAME_CHARS else None
    if match is None:
        raise UserError(f"{subpackage} has no {name[:80]!r}: write a name of ours, or package.module:attribute")
    if match[1] not in _allowed_packages.get():
        how = f"name it in a config, or convarium.load(FILE, allow=['{match[1]}'])"
        raise UserError(f"{name}: package {match[1]} is not allowed here; {how}")
    return find_by_name(subpackage, name)


def find_named_packages(value: Any) -> set[str]:
    """Return the packages of all outside names in a JSON value.

    A recipe names none: the optimiser of torch that it may name is for the training alone, and allows no file anything.
    """
    if isinstance(value, str):
        match = OUTSIDE_NAME.fullmatch(value)
        return {match[1]} if match else set()
    if isinstance(value, Mapping):
        value = [entry for key, entry in value.items() if key != RECIPE_KEY]
    inner = value if isinstance(value, list | tuple) else ()
    return set().union(*map(find_named_packages, inner))


def find_companion(found: Any, attribute: str) -> Any:
    """Return what the module of `found` holds under another name, None where it holds nothing."""
    return getattr(sys.modules[found.__module__], attribute, None)
