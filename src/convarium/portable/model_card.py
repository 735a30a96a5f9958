"""What a file of another format says of itself: what a server must know, and where `verify` finds the original.

Texts by name, inside the file: metadata properties in ONNX, the metadata of safetensors' header, an extra file of a
.pt2. `signature`, `format` and `task` are words; `architecture`, `surgery`, `classes` (a number, or names), `shape`
(channels, height, width), `mean` and `std` (by channel, of pixels in 0..1) are JSON_KEYS, and of a network for images
of more than 8 bits `value_range` (the values that are 0 and 1 before mean and std are applied). No path is among them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from convarium.errors import UserError

CARD_VERSION = "1"
TEXT_KEYS = ("signature", "format", "task")
JSON_KEYS = ("architecture", "surgery", "classes", "shape", "mean", "std")
VALUE_RANGE_KEY = "value_range"


@dataclass(frozen=True)
class ModelCard:
    """The signature of the stored network, the file's format, and the header of the `.cvm` that it was made from."""

    signature: str
    format: str
    header: dict[str, Any]

    def format_metadata(self) -> dict[str, str]:
        """Return it as texts by name."""
        header, given = self.header, self.header["input"]
        fields = {key: header[key] for key in ("architecture", "surgery", "classes")} | given
        coded = {
            key: json.dumps(fields[key], sort_keys=True, ensure_ascii=False, allow_nan=False)
            for key in _list_json_keys(fields)
        }
        words = {"signature": self.signature, "format": self.format, "task": header["task"]}
        return {"convarium": CARD_VERSION, **words, **coded}


def parse_model_card(metadata: Mapping[str, str], where: str) -> ModelCard:
    """Return the card among a file's texts.

    Raises:
        UserError: there is none, or it is of another version, or damaged.
    """
    if "convarium" not in metadata:
        raise UserError(f"{where} doesn't say which network it is: it was not written by convarium export")
    if metadata["convarium"] != CARD_VERSION:
        raise UserError(
            f"{where} has a description of version {metadata['convarium'][:20]}, this one reads {CARD_VERSION}"
        )
    try:
        signature, form, task = (metadata[key] for key in TEXT_KEYS)
        found = {key: json.loads(metadata[key]) for key in _list_json_keys(metadata)}
    except (KeyError, ValueError, RecursionError):
        raise UserError(f"{where} is damaged: its description of itself can't be read") from None
    header = {key: found.pop(key) for key in ("architecture", "surgery", "classes")}
    return ModelCard(signature, form, {**header, "task": task, "input": found})


def _list_json_keys(fields: Mapping[str, Any]) -> tuple[str, ...]:
    return (*JSON_KEYS, VALUE_RANGE_KEY) if VALUE_RANGE_KEY in fields else JSON_KEYS
