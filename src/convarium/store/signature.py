"""The identity of a result: what made it, as canonical JSON, hashed."""

import json
import math
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from convarium.errors import UserError

SIGNATURE_LENGTH = 12


def canonical_json(value: Any) -> str:
    """Return the one JSON text of `value`: sorted keys, no spaces, UTF-8.

    Raises:
        UserError: a NaN, an infinity, or anything that is not str, int, float, bool, None, list or dict.
    """
    _check_json_value(value, "")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def compute_signature(
    stage: str, version: int, stage_config: Any, parents: Sequence[str], fingerprint: str | None
) -> str:
    """Return the first 12 hexadecimal digits of the sha256 of everything a stage's result depends on."""
    text = canonical_json([stage, version, stage_config, list(parents), fingerprint])
    return sha256(text.encode()).hexdigest()[:SIGNATURE_LENGTH]


def _check_json_value(value: Any, key_path: str) -> None:
    kind = type(value)
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise UserError(f"{key_path or 'config'}: the key {key!r} is not a string")
            _check_json_value(item, f"{key_path}.{key}" if key_path else key)
    elif kind is list:
        for index, item in enumerate(value):
            _check_json_value(item, f"{key_path}[{index}]")
    elif kind is float and not math.isfinite(value):
        raise UserError(f"{key_path or 'config'}: {value} is not a number that can be stored")
    elif value is not None and kind not in (str, int, float, bool):
        raise UserError(f"{key_path or 'config'}: a {kind.__name__} is none of str, int, float, bool, null, list, dict")
