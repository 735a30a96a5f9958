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
DIGEST_BYTES = 32
MAX_HEADER_BYTES = 1 << 17
HEADER_KEYS = ("architecture", "classes", "input", "surgery", "task")
REQUIRED_STORED_KEYS = {"architecture", "mean", "std", "task"}
OPTIONAL_STORED_KEYS = {"classes", "sites", "surgery", "value_range"}
Json = dict[str, Any]
Specs = list[Json | None]


def pack_file(header: Mapping[str, Any], specs: Specs, blobs: bytes) -> bytes:
    """Return magic, header, blobs and digest as one file.

    Args:
        header: HEADER_KEYS.
        specs: for each tensor, in the order of names, its representation and coder; None where it is plain.
        blobs: the bytes of all tensors.

    Raises:
        UserError: the header isn't what `unpack_file` accepts.
    """
    check_header(header)
    coded = encode_header(header, specs)
    data = MAGIC + pack("<I", len(coded)) + coded + blobs
    return data + sha256(data).digest()


def encode_header(header: Mapping[str, Any], specs: Specs) -> bytes:
    """Return the format's number and the header as coded text.

    Raises:
        UserError: it is too long.
    """
    text = format_canonical_json(_shorten_header(header, specs))
    if len(text) > MAX_HEADER_BYTES:
        raise UserError(f"its header would be longer than {MAX_HEADER_BYTES} bytes")
    return bytes([FORMAT_VERSION]) + text_coder.encode_text(text)


def unpack_file(data: memoryview) -> tuple[Json, Specs, memoryview]:
    """Return header, specs (empty where all tensors are plain) and blobs of a file.

    Raises:
        UserError: not a file of this format, or a damaged one.
    """
    if bytes(data[:4]) != MAGIC:
        raise UserError("it doesn't begin with CVM1")
    if len(data) < 9 + DIGEST_BYTES or sha256(data[:-DIGEST_BYTES]).digest() != bytes(data[-DIGEST_BYTES:]):
        raise UserError("it is damaged: its digest doesn't match")
    (length,) = unpack_from("<I", data, 4)
    if not 0 < length <= min(MAX_HEADER_BYTES, len(data) - 8 - DIGEST_BYTES):
        raise UserError("its header is too long")
    if data[8] != FORMAT_VERSION:
        raise UserError(f"format {data[8]} is not known, only {FORMAT_VERSION}")
    header, specs = _parse_header(text_coder.decode_text(data[9 : 8 + length], MAX_HEADER_BYTES))
    return header, specs, data[8 + length : -DIGEST_BYTES]


def _shorten_header(header: Mapping[str, Any], specs: Specs) -> Json:
    """Leave out what follows from the architecture, and what is as usual."""
    architecture = header["architecture"]
    short = {"architecture": architecture, "task": header["task"]}
    short |= {key: value for key, value in header["input"].items() if key != "shape"}
    if header["classes"] != architecture["num_classes"]:
        short["classes"] = header["classes"]
    if header["surgery"]:
        short["surgery"] = header["surgery"]
    if any(specs):
        short["sites"] = [spec or 0 for spec in specs]
    return short


def _parse_header(text: bytes) -> tuple[Json, Specs]:
    """Parse a short header; whatever isn't the one form of its content (NaN, keys twice, spaces) is refused."""
    try:
        short = json.loads(text)
        if (
            not isinstance(short, dict)
            or not REQUIRED_STORED_KEYS <= set(short) <= REQUIRED_STORED_KEYS | OPTIONAL_STORED_KEYS
        ):
            raise UserError("its header hasn't the keys of a header")
        header, specs = _restore_header(short), _parse_specs(short.get("sites", []))
        check_header(header)
        same = format_canonical_json(_shorten_header(header, specs)) == text
    except (ValueError, RecursionError) as error:
        raise error if isinstance(error, UserError) else UserError("its header is not JSON") from None
    if not same:
        raise UserError("its header is not in its one form")
    return header, specs


def _restore_header(short: Json) -> Json:
    """Put back what `_shorten_header` leaves out."""
    architecture = short["architecture"] if isinstance(short["architecture"], dict) else {}
    channels, size = architecture.get("in_chans"), architecture.get("img_size")
    return {
        "architecture": short["architecture"],
        "classes": short.get("classes", architecture.get("num_classes")),
        "input": {
            "shape": [channels, size, size],
            **{key: short[key] for key in ("mean", "std", "value_range") if key in short},
        },
        "surgery": short.get("surgery", []),
        "task": short["task"],
    }


def _parse_specs(sites: Any) -> Specs:
    if not isinstance(sites, list):
        raise UserError("sites is not a list")
    for site in sites:
        if not (isinstance(site, dict) and site) and (type(site) is not int or site != 0):
            raise UserError("a site is neither 0 nor a representation")
    return [site or None for site in sites]


def format_canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no spaces, in UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def check_header(header: Any) -> None:
    """Check keys and types of everything but the architecture, which `architectures.factory` checks.

    Raises:
        UserError: a key too many or too few, a value of another type or out of bounds.
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
    """Their number, or a name for each."""
    number = classes if not isinstance(classes, list) else len(classes)
    if type(number) is not int or number != architecture.get("num_classes"):
        raise UserError("classes are not as many as the architecture's")
    if isinstance(classes, list) and not all(isinstance(name, str) for name in classes):
        raise UserError("classes are neither a number nor names")


def _check_input(given: Any, architecture: Mapping[str, Any]) -> None:
    scaled = isinstance(given, dict) and "value_range" in given
    _check_header_keys(given, ("mean", "shape", "std", *(("value_range",) if scaled else ())), "input")
    channels, size = architecture.get("in_chans"), architecture.get("img_size")
    if given["shape"] != [channels, size, size]:
        raise UserError("input.shape is not the architecture's")
    for key in ("mean", "std"):
        numbers = given[key]
        if not isinstance(numbers, list) or len(numbers) != channels or not all(map(_is_finite_number, numbers)):
            raise UserError(f"input.{key} is not a list of a number for each channel")
    if not all(number > 0 for number in given["std"]):
        raise UserError("input.std is not positive")
    if scaled:
        _check_value_range(given["value_range"])


def _check_value_range(given: Any) -> None:
    """The values, of images of more than 8 bits, that became black and white."""
    numbers = isinstance(given, list) and len(given) == 2 and all(type(one) is float and isfinite(one) for one in given)
    if not numbers or given[0] > given[1]:
        raise UserError("input.value_range is not two numbers, the lesser first")


def _is_finite_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e9 and isfinite(value)
