"""The identity of a result: a hash of its inputs as canonical JSON."""

import json
import math
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from convarium.errors import NumberNotFinite, UserError

SIGNATURE_LENGTH = 12
JSON_LEAF_TYPES = (str, int, float, bool)


def canonical_json(value: Any) -> str:
    """Return the one JSON text of `value`: sorted keys, no spaces, UTF-8.

    Raises:
        UserError: a NaN, an infinity, or anything that is not str, int, float, bool, None, list or dict.
    """
    if not _is_json_value(value):
        _check_json_value(value, "")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def compute_signature(
    stage: str, version: int, stage_config: Any, parents: Sequence[str], fingerprint: str | None
) -> str:
    """Return the first 12 hexadecimal digits of the sha256 of everything that a stage's result depends on.

    Args:
        stage: the stage's name.
        version: the stage's version.
        stage_config: its config, as JSON values.
        parents: the signatures of the results that it starts from, in order.
        fingerprint: of the dataset's content, None where the dataset declares none.

    Raises:
        UserError: the config holds a value that is not JSON.
    """
    text = canonical_json([stage, version, stage_config, list(parents), fingerprint])
    return sha256(text.encode()).hexdigest()[:SIGNATURE_LENGTH]


def _is_json_value(value: Any) -> bool:
    """Whether `_check_json_value` accepts a value, told without the names that only its errors need."""
    value_type = type(value)
    if value_type is dict:
        return all(type(key) is str and _is_json_value(item) for key, item in value.items())
    if value_type is list:
        return all(map(_is_json_value, value))
    if value_type is float:
        return math.isfinite(value)
    return value is None or value_type in JSON_LEAF_TYPES


def _check_json_value(value: Any, key_path: str) -> None:
    # The exact type: json.dumps would also take a tuple or numpy's float64 (a subclass of float), and the hash would
    # be that of the list or the float.
    value_type = type(value)
    if value_type is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise UserError(f"{key_path or 'config'}: the key {key!r} is not a string")
            item_path = f"{key_path}.{key}" if key_path else key
            _check_json_value(item, item_path)
    elif value_type is list:
        for index, item in enumerate(value):
            _check_json_value(item, f"{key_path}[{index}]")
    elif value_type is float and not math.isfinite(value):
        raise NumberNotFinite(f"{key_path or 'config'}: {value} is not a number that can be stored")
    elif value is not None and value_type not in JSON_LEAF_TYPES:
        type_name = value_type.__name__
        raise UserError(f"{key_path or 'config'}: a {type_name} is none of str, int, float, bool, null, list, dict")
