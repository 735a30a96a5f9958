"""Find the members of open sets by name, without a registry.

What a config names, its author trusts: it is imported. What a file names may come from a stranger: it is imported only
from packages that are allowed while the file is read (`allow_packages`); a stage allows those that its config names
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

IMPORT_PATH_PATTERN = re.compile(r"([^\W\d]\w*)(\.[^\W\d]\w*)*:[^\W\d]\w*", re.ASCII)
MAX_NAME_CHARS = 200
RECIPE_KEY = "recipe"

_allowed_packages: ContextVar[frozenset[str]] = ContextVar("allowed", default=frozenset())


def find_by_name(subpackage: str, name: str) -> Any:
    """Return what `name` stands for in a subpackage: an attribute of ours, or one at an outside import path.

    Ours are found by convention: module `convarium.<subpackage>.<name>` holds an attribute `<name>`. A name with a dot
    or colon is an import path, "package.module:attribute".

    Raises:
        UserError: there is no such module or attribute.
    """
    if is_outside_name(name):
        module_name, _, attribute = name.partition(":")
    else:
        module_name, attribute = f"convarium.{subpackage}.{name}", name
    if module_name.startswith(".") or not module_name or not attribute:
        raise UserError(f"{subpackage} has no '{name}': write a name of ours, or package.module:attribute")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        # A module that is there may fail to import another one: that is its own fault, not a wrong name.
        if error.name is None or not module_name.startswith(error.name):
            raise
        raise UserError(f"{subpackage} has no '{name}'") from None
    if not hasattr(module, attribute):
        raise UserError(f"'{name}': module {module_name} has no attribute '{attribute}'")
    return getattr(module, attribute)


def is_outside_name(name: str) -> bool:
    """Whether `name` is an import path of an outside package, not a name of ours."""
    return "." in name or ":" in name


@contextmanager
def allow_packages(packages: Iterable[str]) -> Iterator[None]:
    """Let files that are read meanwhile name objects of these packages, in addition to those allowed already."""
    token = _allowed_packages.set(_allowed_packages.get() | frozenset(packages))
    try:
        yield
    finally:
        _allowed_packages.reset(token)


def list_allowed_packages() -> list[str]:
    """Return the packages that are allowed at this moment, sorted."""
    return sorted(_allowed_packages.get())


def find_allowed(subpackage: str, name: str) -> Any:
    """Return the object at an import path ("package.module:attribute") of an allowed package.

    Raises:
        UserError: its package is not allowed, or there is no such object.
    """
    match = IMPORT_PATH_PATTERN.fullmatch(name) if len(name) <= MAX_NAME_CHARS else None
    if match is None:
        raise UserError(f"{subpackage} has no {name[:80]!r}: write a name of ours, or package.module:attribute")
    package = match[1]
    if package not in _allowed_packages.get():
        remedy = f"name it in a config, or convarium.load(FILE, allow=['{package}'])"
        raise UserError(f"{name}: package {package} is not allowed here; {remedy}")
    return find_by_name(subpackage, name)


def find_named_packages(value: Any) -> set[str]:
    """Return the packages of all import paths in a JSON value.

    A recipe names none: the optimiser of torch that it may name is for the training alone, and allows no file anything.
    """
    packages: set[str] = set()
    _add_named_packages(value, packages)
    return packages


def _add_named_packages(value: Any, packages: set[str]) -> None:
    if isinstance(value, str):
        match = IMPORT_PATH_PATTERN.fullmatch(value)
        if match:
            packages.add(match[1])
    elif isinstance(value, (dict, Mapping)):
        for key, entry in value.items():
            if key != RECIPE_KEY:
                _add_named_packages(entry, packages)
    elif isinstance(value, list | tuple):
        for entry in value:
            _add_named_packages(entry, packages)


def find_companion(function: Any, attribute: str) -> Any:
    """Return another attribute of the module that defines a function or class, None where there is none."""
    return getattr(sys.modules[function.__module__], attribute, None)
