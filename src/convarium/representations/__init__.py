"""Stored forms of a tensor. Kind `low_rank` is class `LowRank` in module `low_rank`: a new form is a new file.

An outside form's kind is its import path, "package.module:Class".
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from convarium.errors import UserError
from convarium.lookup import find_allowed
from convarium.representations.base import Representation


def load_kind_class(kind: Any) -> type[Representation]:
    """Return the class of a kind's name.

    Raises:
        UserError: there is no such kind, or its package is not allowed (`convarium.lookup.allow_packages`).
    """
    if isinstance(kind, str) and ":" in kind:
        return _check_kind_class(find_allowed("representations", kind), kind)
    if not isinstance(kind, str) or not kind.isidentifier() or not kind.isascii() or len(kind) > 40:
        raise UserError(f"no representation is called {str(kind)[:40]!r}")
    if find_spec(f"{__name__}.{kind}") is None:
        raise UserError(f"no representation is called '{kind}'")
    return _check_kind_class(getattr(import_module(f"{__name__}.{kind}"), kind.title().replace("_", ""), None), kind)


def _check_kind_class(found: Any, kind: str) -> type[Representation]:
    if not isinstance(found, type) or not issubclass(found, Representation) or found.kind != kind:
        raise UserError(f"no representation is called '{kind}'")
    return found


def build_representation(spec: Mapping[str, Any], shape: Sequence[int]) -> Representation:
    """Build the representation `spec` describes for a tensor of `shape`, with buffers of the right sizes but unfitted.

    Raises:
        UserError: an unknown kind, a key too many or too few, a size that doesn't fit `shape`.
    """
    if not isinstance(spec, Mapping):
        raise UserError("a representation is not a mapping")
    return load_kind_class(spec.get("kind")).from_spec(spec, shape)
