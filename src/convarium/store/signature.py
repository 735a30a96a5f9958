"""The identity of a result: what made it, as canonical JSON, hashed."""

import json
import math
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from convarium.errors import UserError

LENGTH = 12


def canonical_json(value: Any) -> str:
    """Return the one JSON text of `value`: sorted keys, no spaces, UTF-8.

    Raises:
        UserError: a NaN, an infinity, or anything that is not str, int, float, bool, None, list or dict.
    """
    _check(value, "")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def signature(stage: str, version: int, own: Any, parents: Sequence[str], fingerprint: str | None) -> str:
    """Return the first 12 hexadecimal digits of the sha256 of everything a stage's result depends on."""
    text = canonical_json([stage, version, own, list(parents), fingerprint])
    return sha256(text.encode()).hexdigest()[:LENGTH]


def _check(value: Any, where: str) -> None:
    kind = type(value)
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise UserError(f"{where or 'config'}: the key {key!r} is not a string")
            _check(item, f"{where}.{key}" if where else key)
    elif kind is list:
        for index, item in enumerate(value):
            _check(item, f"{where}[{index}]")
    elif kind is float and not math.isfinite(value):
        raise UserError(f"{where or 'config'}: {value} is not a number that can be stored")
    elif value is not None and kind not in (str, int, float, bool):
        raise UserError(f"{where or 'config'}: a {kind.__name__} is none of str, int, float, bool, null, list, dict")
