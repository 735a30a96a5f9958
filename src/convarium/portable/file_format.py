"""Format and metadata of a network file, recognised by its content and not by its name; no code of the file is run."""

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
    """Return the format of a file: cvm, safetensors, torch_export or onnx.

    Raises:
        UserError: the file can't be read, or is of none of these formats.
    """
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from None
    if start[:4] == b"CVM1":
        return CVM
    if start[8:9] == b"{":  # a JSON header, after its length as u64
        return SAFETENSORS
    if start[:2] == b"PK":  # a zip archive
        return TORCH_EXPORT
    if start[:1] == b"\x08":  # the first field of an ONNX model, its ir_version
        return ONNX
    raise UserError(f"{path} is not a network file: expected cvm, onnx, safetensors or torch_export (.pt2)")


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata in a file, among them its card (`portable.model_card`).

    Empty for a `.cvm`, and for a file without metadata.

    Raises:
        UserError: the file is damaged, or the library that reads its format is not installed.
    """
    format_name = detect_format(path)
    try:
        if format_name == ONNX:
            return {field.key: field.value for field in _load_onnx(path).metadata_props}
        if format_name == SAFETENSORS:
            return _read_safetensors_metadata(path)
        if format_name == TORCH_EXPORT:
            return _read_torch_export_metadata(path)
    except UserError:
        raise
    except ImportError as error:
        raise UserError(f"{path}: to read {format_name} files {error.name} must be installed") from None
    except Exception as error:
        raise UserError(f"{path} is not a valid {format_name} file: {format_root_cause(error)}") from None
    return {}


def is_quantized(path: Path) -> bool:
    """Return whether a file computes in integers, so that its logits differ from those of the network it came from.

    Raises:
        UserError: the file is damaged.
    """
    if detect_format(path) != ONNX:
        return False
    nodes = _load_onnx(path).graph.node
    return any(node.op_type == QUANTIZE_OPERATOR for node in nodes)


def _load_onnx(path: Path) -> Any:
    import onnx  # here, as safetensors below: `convarium.load` reads a `.cvm` where torch alone is installed

    try:
        return onnx.load(path)
    except Exception as error:
        raise UserError(f"{path} is not a valid onnx file: {format_root_cause(error)}") from None


def _read_safetensors_metadata(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        metadata = file.metadata() or {}
    # In the file `format` is "pt", as other readers expect (`portable.safetensors_file`).
    return {**metadata, "format": SAFETENSORS}


def _read_torch_export_metadata(path: Path) -> dict[str, str]:
    with ZipFile(path) as archive:
        # The archive's root folder has a name that torch chooses.
        card_names = [name for name in archive.namelist() if name.endswith(f"/extra/{CARD_FILE_NAME}")]
        if not card_names:
            return {}
        metadata = json.loads(archive.read(card_names[0]))
    if not isinstance(metadata, dict):
        return {}
    has_only_texts = all(isinstance(value, str) for value in metadata.values())
    return metadata if has_only_texts else {}
