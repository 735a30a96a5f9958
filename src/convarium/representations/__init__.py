"""Stored forms of a tensor. Kind `low_rank` is class `LowRank` in module `low_rank`: a new form is a new file.

An outside form's kind is its import path, "package.module:Class".
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, cast

from convarium.errors import UserError
from convarium.lookup import find_allowed
from convarium.representations.base import Representation

MAX_KIND_LENGTH = 40


def load_kind_class(kind: Any) -> type[Representation]:
    """Return the class of a kind's name.

    Raises:
        UserError: there is no such kind, or its package is not allowed (`convarium.lookup.allow_packages`).
    """
    if isinstance(kind, str) and ":" in kind:
        return _check_kind_class(find_allowed("representations", kind), kind)
    # The kind comes from a file: it must be a plain name before it becomes part of a module's name.
    if not isinstance(kind, str) or not kind.isidentifier() or not kind.isascii() or len(kind) > MAX_KIND_LENGTH:
        raise UserError(f"no representation is called {str(kind)[:MAX_KIND_LENGTH]!r}")
    module_name = f"{__name__}.{kind}"
    if find_spec(module_name) is None:
        raise UserError(f"no representation is called '{kind}'")
    class_name = kind.title().replace("_", "")
    return _check_kind_class(getattr(import_module(module_name), class_name, None), kind)


def _check_kind_class(candidate: Any, kind: str) -> type[Representation]:
    is_representation = isinstance(candidate, type) and issubclass(candidate, Representation)
    if not is_representation or candidate.kind != kind:
        raise UserError(f"no representation is called '{kind}'")
    return cast(type[Representation], candidate)


def build_representation(spec: Mapping[str, Any], shape: Sequence[int]) -> Representation:
    """Build the representation that `spec` describes for a tensor of `shape`: buffers of the right sizes, but unfitted.

    Raises:
        UserError: an unknown kind, a missing or an unknown key, a size that doesn't fit `shape`.
    """
    if not isinstance(spec, Mapping):
        raise UserError("a representation is not a mapping")
    return load_kind_class(spec.get("kind")).from_spec(spec, shape)
