"""The card in an exported file: what a server must know, and the signature by which `verify` finds the stored network.

Texts by name: metadata properties in ONNX, the header's metadata in safetensors, an extra file in a .pt2. `signature`,
`format` and `task` are plain words. The rest is JSON: `architecture`, `surgery`, `classes` (a number, or names),
`shape` (channels, height, width), `mean` and `std` (by channel, of pixels in 0..1), and for a network trained on
images of more than 8 bits `value_range` (the values that become 0 and 1 before mean and std are applied). The card
holds no path.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from convarium.errors import UserError

CARD_VERSION = "1"
TEXT_KEYS = ("signature", "format", "task")
NETWORK_KEYS = ("architecture", "surgery", "classes")
JSON_KEYS = (*NETWORK_KEYS, "shape", "mean", "std")
VALUE_RANGE_KEY = "value_range"


@dataclass(frozen=True)
class ModelCard:
    """Description of an exported file.

    Attributes:
        signature: of the stored network.
        format: of the file.
        header: of the `.cvm` that the file was made from: architecture, surgery, classes, task, input.
    """

    signature: str
    format: str
    header: dict[str, Any]

    def format_metadata(self) -> dict[str, str]:
        """Return the card as texts by name."""
        network_fields = {key: self.header[key] for key in NETWORK_KEYS}
        fields = network_fields | self.header["input"]
        metadata = {
            "convarium": CARD_VERSION,
            "signature": self.signature,
            "format": self.format,
            "task": self.header["task"],
        }
        for key in _list_json_keys(fields):
            metadata[key] = json.dumps(fields[key], sort_keys=True, ensure_ascii=False, allow_nan=False)
        return metadata


def parse_model_card(metadata: Mapping[str, str], where: str) -> ModelCard:
    """Return the card in a file's metadata.

    Args:
        where: the file, for messages.

    Raises:
        UserError: the metadata have no card, or one of another version, or a damaged one.
    """
    if "convarium" not in metadata:
        raise UserError(f"{where} doesn't say which network it is: it was not written by convarium export")
    version = metadata["convarium"]
    if version != CARD_VERSION:
        raise UserError(f"{where} has a description of version {version[:20]}, this one reads {CARD_VERSION}")
    try:
        signature, format_name, task = (metadata[key] for key in TEXT_KEYS)
        fields = {key: json.loads(metadata[key]) for key in _list_json_keys(metadata)}
    except (KeyError, ValueError, RecursionError):  # json recurses: nested deep enough, a file exhausts the stack
        raise UserError(f"{where} is damaged: its description of itself can't be read") from None
    network_fields = {key: fields.pop(key) for key in NETWORK_KEYS}
    return ModelCard(signature, format_name, {**network_fields, "task": task, "input": fields})


def _list_json_keys(fields: Mapping[str, Any]) -> tuple[str, ...]:
    if VALUE_RANGE_KEY in fields:
        return (*JSON_KEYS, VALUE_RANGE_KEY)
    return JSON_KEYS
