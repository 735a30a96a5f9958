"""Edits: changes of a network's structure as JSON records, which a file carries as its surgery.

`{"op": "resize", …}` belongs to module `resize`: `check_edit(edit)` refuses malformed records, `apply_edit(network,
edit)` changes the structure in place, on the meta device as on real tensors. Values are not part of an edit but of the
file. An outside edit's op is the import path of an object that has both functions, "package.module:object".
"""

from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from torch import nn

from convarium.errors import UserError
from convarium.lookup import find_allowed

MAX_EDITS = 1000
MAX_OP_CHARS = 40


def check_surgery(surgery: Any) -> None:
    """Check the types and bounds of a surgery, before a network is built from it.

    Raises:
        UserError: it is not a list of edits that this version knows.
    """
    if not isinstance(surgery, list) or len(surgery) > MAX_EDITS:
        raise UserError(f"surgery is not a list of at most {MAX_EDITS} edits")
    for edit in surgery:
        _find_edit_module(edit).check_edit(edit)


def apply_surgery(network: nn.Module, surgery: Iterable[Mapping[str, Any]]) -> None:
    """Apply checked edits in order.

    Raises:
        UserError: an edit does not fit the network.
    """
    for edit in surgery:
        _find_edit_module(edit).apply_edit(network, edit)


def _find_edit_module(edit: Any) -> Any:
    """The object with `check_edit` and `apply_edit` for the op of an edit."""
    op = edit.get("op") if isinstance(edit, Mapping) else None
    if isinstance(op, str) and ":" in op:
        return find_allowed("edits", op)
    # Before the import, as the op is a stranger's text: only a plain name stays within this package.
    if not isinstance(op, str) or not op.isidentifier() or not op.isascii() or len(op) > MAX_OP_CHARS:
        raise UserError(f"surgery: {str(op)[:MAX_OP_CHARS]!r} is not an edit")
    # `__init__` and the like are found as modules as well.
    if op.startswith("_") or find_spec(f"{__name__}.{op}") is None:
        raise UserError(f"surgery: no edit is called '{op}'")
    return import_module(f"{__name__}.{op}")
