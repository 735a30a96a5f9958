"""The envelope of a file and its header, checked before anything is built from it."""

import json
from collections.abc import Mapping
from hashlib import sha256
from math import isfinite
from struct import pack, unpack_from
from typing import Any

from convarium import edits
from convarium.coding import text_coder
from convarium.errors import UserError

MAGIC = b"CVM1"
FORMAT_VERSION = 2
HEADER_START = len(MAGIC) + 4  # after its length, a u32
DIGEST_BYTES = 32
MAX_HEADER_BYTES = 1 << 17  # of the JSON text: decoding stops here, whatever a file claims
HEADER_KEYS = ("architecture", "classes", "input", "surgery", "task")
REQUIRED_STORED_KEYS = {"architecture", "mean", "std", "task"}
OPTIONAL_STORED_KEYS = {"classes", "sites", "surgery", "value_range"}
Json = dict[str, Any]
SiteSpecs = list[Json | None]


def pack_file(header: Mapping[str, Any], specs: SiteSpecs, blobs: bytes) -> bytes:
    """Return the bytes of a file: magic, header, blobs and digest.

    Args:
        header: a mapping with HEADER_KEYS.
        specs: for each tensor, in the order of names, its representation and coder; None where it is plain.
        blobs: the bytes of all tensors.

    Raises:
        UserError: the header isn't what `unpack_file` accepts.
    """
    check_header(header)
    coded_header = encode_header(header, specs)
    data = MAGIC + pack("<I", len(coded_header)) + coded_header + blobs
    return data + sha256(data).digest()


def encode_header(header: Mapping[str, Any], specs: SiteSpecs) -> bytes:
    """Return the format version, one byte, and the header as coded text.

    Raises:
        UserError: the header is too long.
    """
    text = format_canonical_json(_shorten_header(header, specs))
    if len(text) > MAX_HEADER_BYTES:
        raise UserError(f"its header would be longer than {MAX_HEADER_BYTES} bytes")
    return bytes([FORMAT_VERSION]) + text_coder.encode_text(text)


def unpack_file(data: memoryview) -> tuple[Json, SiteSpecs, memoryview]:
    """Return the header, the specs (empty where all tensors are plain) and the blobs of a file.

    Raises:
        UserError: not a file of this format, a damaged one, or one with an invalid header.
    """
    if bytes(data[:4]) != MAGIC:
        raise UserError("it doesn't begin with CVM1")
    content, digest = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
    if len(content) <= HEADER_START or sha256(content).digest() != bytes(digest):
        raise UserError("it is damaged: its digest doesn't match")
    (length,) = unpack_from("<I", data, len(MAGIC))
    if not 0 < length <= min(MAX_HEADER_BYTES, len(content) - HEADER_START):
        raise UserError("its header is too long")
    version = data[HEADER_START]
    if version != FORMAT_VERSION:
        raise UserError(f"format {version} is not known, only {FORMAT_VERSION}")
    header_end = HEADER_START + length
    text = text_coder.decode_text(data[HEADER_START + 1 : header_end], MAX_HEADER_BYTES)
    header, specs = _parse_header(text)
    return header, specs, content[header_end:]


def _shorten_header(header: Mapping[str, Any], specs: SiteSpecs) -> Json:
    """Return the header as it is stored: without what follows from the architecture, and without empty parts."""
    architecture = header["architecture"]
    short = {"architecture": architecture, "task": header["task"]}
    short |= {key: value for key, value in header["input"].items() if key != "shape"}  # mean, std, value_range
    if header["classes"] != architecture["num_classes"]:
        short["classes"] = header["classes"]
    if header["surgery"]:
        short["surgery"] = header["surgery"]
    if any(specs):
        short["sites"] = [spec or 0 for spec in specs]
    return short


def _parse_header(text: bytes) -> tuple[Json, SiteSpecs]:
    """Parse a stored header; refuse every text (NaN, keys twice, spaces) that isn't the one form of its content."""
    try:
        short = json.loads(text)
        _check_stored_keys(short)
        header = _restore_header(short)
        specs = _parse_specs(short.get("sites", []))
        check_header(header)
        canonical_text = format_canonical_json(_shorten_header(header, specs))
    except UserError:  # before ValueError, of which it is a kind
        raise
    except (ValueError, RecursionError):  # RecursionError: JSON that is nested too deeply
        raise UserError("its header is not JSON") from None
    if canonical_text != text:
        raise UserError("its header is not in its one form")
    return header, specs


def _check_stored_keys(short: Any) -> None:
    keys = set(short) if isinstance(short, dict) else set()
    if not REQUIRED_STORED_KEYS <= keys <= REQUIRED_STORED_KEYS | OPTIONAL_STORED_KEYS:
        raise UserError("its header hasn't the keys of a header")


def _restore_header(short: Json) -> Json:
    """Return the full header of a stored one: the inverse of `_shorten_header`."""
    # `check_header` comes later and refuses an architecture that is not a mapping.
    architecture = short["architecture"] if isinstance(short["architecture"], dict) else {}
    channels = architecture.get("in_chans")
    size = architecture.get("img_size")
    normalisation = {key: short[key] for key in ("mean", "std", "value_range") if key in short}
    return {
        "architecture": short["architecture"],
        "classes": short.get("classes", architecture.get("num_classes")),
        "input": {"shape": [channels, size, size], **normalisation},
        "surgery": short.get("surgery", []),
        "task": short["task"],
    }


def _parse_specs(sites: Any) -> SiteSpecs:
    if not isinstance(sites, list):
        raise UserError("sites is not a list")
    specs: SiteSpecs = []
    for site in sites:
        is_plain = type(site) is int and site == 0
        if not is_plain and not (isinstance(site, dict) and site):
            raise UserError("a site is neither 0 nor a representation")
        specs.append(None if is_plain else site)
    return specs


def format_canonical_json(value: Any) -> bytes:
    """Return JSON with sorted keys and no spaces, in UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def check_header(header: Any) -> None:
    """Check keys and types of everything but the architecture, which `architectures.factory` checks.

    Raises:
        UserError: a missing or an unknown key, a value of another type or out of bounds.
    """
    _check_header_keys(header, HEADER_KEYS, "header")
    if not isinstance(header["architecture"], dict):
        raise UserError("architecture is not a mapping")
    _check_task(header["task"])
    _check_classes(header["classes"], header["architecture"])
    _check_input(header["input"], header["architecture"])
    edits.check_surgery(header["surgery"])


def _check_header_keys(value: Any, keys: tuple[str, ...], owner: str) -> None:
    if not isinstance(value, dict) or set(value) != set(keys):
        raise UserError(f"{owner}: expected the keys {', '.join(sorted(keys))}")


def _check_task(task: Any) -> None:
    if not isinstance(task, str) or not 0 < len(task) <= 100:
        raise UserError("task is not a name")


def _check_classes(classes: Any, architecture: Mapping[str, Any]) -> None:
    """Refuse classes that are neither their number nor a list of a name for each."""
    number = len(classes) if isinstance(classes, list) else classes
    if type(number) is not int or number != architecture.get("num_classes"):
        raise UserError("classes are not as many as the architecture's")
    if isinstance(classes, list) and not all(isinstance(name, str) for name in classes):
        raise UserError("classes are neither a number nor names")


def _check_input(image_input: Any, architecture: Mapping[str, Any]) -> None:
    has_value_range = isinstance(image_input, dict) and "value_range" in image_input
    expected_keys = ("mean", "shape", "std", "value_range") if has_value_range else ("mean", "shape", "std")
    _check_header_keys(image_input, expected_keys, "input")
    channels = architecture.get("in_chans")
    size = architecture.get("img_size")
    if image_input["shape"] != [channels, size, size]:
        raise UserError("input.shape is not the architecture's")
    for key in ("mean", "std"):
        numbers = image_input[key]
        if not isinstance(numbers, list) or len(numbers) != channels or not all(map(_is_finite_number, numbers)):
            raise UserError(f"input.{key} is not a list of a number for each channel")
    if not all(number > 0 for number in image_input["std"]):
        raise UserError("input.std is not positive")
    if has_value_range:
        _check_value_range(image_input["value_range"])


def _check_value_range(value_range: Any) -> None:
    """Check the pixel values that were mapped to black and to white in images of more than 8 bits."""
    is_pair = isinstance(value_range, list) and len(value_range) == 2
    is_numeric = is_pair and all(type(value) is float and isfinite(value) for value in value_range)
    if not is_numeric or value_range[0] > value_range[1]:
        raise UserError("input.value_range is not two numbers, the lesser first")


def _is_finite_number(value: Any) -> bool:
    # `type`, not isinstance: JSON's true is a bool, which is an int.
    return type(value) in (int, float) and abs(value) < 1e9 and isfinite(value)
