"""What a file is and what it says of itself, known by its content and not by its name; nothing of it is run."""

import json
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from convarium.errors import UserError
from convarium.portable.exporter_output import format_root_cause

CVM, SAFETENSORS, TORCH_EXPORT, ONNX = "cvm", "safetensors", "torch_export", "onnx"
CARD_FILE_NAME = "convarium.json"
QUANTIZE_OPERATOR = "QuantizeLinear"


def detect_format(path: Path) -> str:
    """Return what a file is: cvm, safetensors, torch_export or onnx.

    Raises:
        UserError: it can't be read, or is none of them.
    """
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from None
    if start[:4] == b"CVM1":
        return CVM
    if start[8:9] == b"{":
        return SAFETENSORS
    if start[:2] == b"PK":
        return TORCH_EXPORT
    if start[:1] == b"\x08":  # the first field of an ONNX model, its ir_version
        return ONNX
    raise UserError(f"{path} is not a network file: expected cvm, onnx, safetensors or torch_export (.pt2)")


def read_metadata(path: Path) -> dict[str, str]:
    """Return what a file says of itself (`portable.model_card`); of a `.cvm`, or a file of others, that is nothing.

    Raises:
        UserError: it is damaged, or what reads such files is not installed.
    """
    found = detect_format(path)
    try:
        if found == ONNX:
            return {field.key: field.value for field in _load_onnx(path).metadata_props}
        if found == SAFETENSORS:
            return _read_safetensors_metadata(path)
        if found == TORCH_EXPORT:
            return _read_torch_export_metadata(path)
    except UserError:
        raise
    except ImportError as error:
        raise UserError(f"{path}: to read {found} files {error.name} must be installed") from None
    except Exception as error:
        raise UserError(f"{path} is not a valid {found} file: {format_root_cause(error)}") from None
    return {}


def is_quantized(path: Path) -> bool:
    """Return whether a file computes in integers, so that its logits are not those of the network it was made from.

    Raises:
        UserError: it is damaged.
    """
    return detect_format(path) == ONNX and any(
        node.op_type == QUANTIZE_OPERATOR for node in _load_onnx(path).graph.node
    )


def _load_onnx(path: Path) -> Any:
    import onnx

    try:
        return onnx.load(path)
    except Exception as error:
        raise UserError(f"{path} is not a valid onnx file: {format_root_cause(error)}") from None


def _read_safetensors_metadata(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        return {**(file.metadata() or {}), "format": SAFETENSORS}


def _read_torch_export_metadata(path: Path) -> dict[str, str]:
    with ZipFile(path) as file:
        place = next((name for name in file.namelist() if name.endswith(f"/extra/{CARD_FILE_NAME}")), None)
        found = json.loads(file.read(place)) if place else {}
    return found if isinstance(found, dict) and all(isinstance(text, str) for text in found.values()) else {}
